from urm_ray.report.summary import Sources
def render_page(sources: Sources, figures: dict) -> str:
    return "<html></html>"
