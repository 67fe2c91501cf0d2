from urm_ray.scenes.corpus import captioned
from urm_ray.scenes.oracle import score


def test_the_corpus_is_the_same_every_time_and_grows_at_its_end():
    one = [(p.tobytes(), c) for p, c in captioned(3, 20, 0.2, 0.3)]
    assert [(p.tobytes(), c) for p, c in captioned(3, 30, 0.2, 0.3)][:20] == one
    assert [c for _, c in captioned(4, 20, 0.2, 0.3)] != [c for _, c in one]


def test_captions_are_wrong_as_often_as_asked():
    def share(wrong: float) -> float:
        return sum(score(caption, picture)["whole"] == 0 for picture, caption in captioned(0, 300, wrong, 0.0)) / 300

    assert share(0.0) < 0.02
    assert 0.3 < share(0.4) < 0.5
    assert share(1.0) == 1.0
