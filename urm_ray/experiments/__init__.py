"""The paper's experiments in miniature: variants of one configuration, and tables of what came of them."""
