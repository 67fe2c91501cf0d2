import json

from urm_ray.scenes.build import RECORD, forget_folders, history


def test_a_build_keeps_the_record_of_what_it_started_from(tmp_path):
    assert history(None) is None
    (tmp_path / "config.json").write_text("{}")
    assert history(str(tmp_path)) is None
    (tmp_path / RECORD).write_text('{"minutes": 3.0}')
    assert history(str(tmp_path)) == {"minutes": 3.0}
    assert history("urm_ray.scenes:checkpoints/text_to_video")["start"]["start"]["settings"]["pictures"] == 60000


def test_no_checkpoint_tells_where_its_models_lay(tmp_path):
    config, index, names = tmp_path / "unet" / "config.json", tmp_path / "model_index.json", tmp_path / "vocab.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"_name_or_path": str(tmp_path), "sample_size": 8}))
    index.write_text(json.dumps({"unet": ["diffusers", "UNet2DConditionModel"]}))
    names.write_text('["a", "b"]')
    untouched = index.read_bytes(), names.read_bytes()
    forget_folders(tmp_path)
    assert json.loads(config.read_text()) == {"sample_size": 8}
    assert (index.read_bytes(), names.read_bytes()) == untouched
