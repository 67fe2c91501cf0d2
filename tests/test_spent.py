from concurrent.futures import ThreadPoolExecutor

from urm_ray.spent import Spent


def test_nothing_is_lost_and_nothing_is_taken_twice():
    spent = Spent()

    def work(n: int) -> dict[str, int]:
        spent.add(questions=1, tokens_read=n)
        return spent.take()

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(work, range(200)))
    assert sum(one.get("questions", 0) for one in taken) == 200
    assert sum(one.get("tokens_read", 0) for one in taken) == sum(range(200))
    assert spent.take() == {}
