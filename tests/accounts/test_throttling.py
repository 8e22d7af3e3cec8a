"""Guessed passwords: ten a minute, whatever the clock shows, however many at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts.models import User
from accounts.passwords import hashing, throttling
from accounts.passwords.throttling import MAX_FAILURES, WINDOW_S, Attempt, SignIns
from realtime.core.addresses import address_key
from realtime.core.identity import Tenant
from realtime.node import attempts as node_attempts
from realtime.node.node import current_node
from realtime.protocol.errors import Refusal
from tests.accounts.conftest import ACME_HOST, GLOBEX_HOST, PASSWORD, Post, sign_in

CHANGE_PAGES = ["/accounts/password/", "/admin/password_change/"]


class Clock:
    """The wall clock, set by the test; what waits does so by the real one."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def time(self) -> float:
        """As `time.time`."""
        return self.now_s

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`, at once."""
        self.now_s += seconds


@pytest.fixture(params=[0.0, 0.3, 4.999, 59.9])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1_800_000_000 + request.param)
    for module in (throttling, node_attempts):
        monkeypatch.setattr(module, "time", clock)
    return clock


def attempt(
    rf: RequestFactory, name: str = "alice", address: str = "10.0.0.1", slug: str = "acme"
) -> Attempt:
    request = rf.post("/api/token/", REMOTE_ADDR=address)
    request.tenant = Tenant(1, slug, slug, frozenset())  # type: ignore[attr-defined]
    return Attempt(request, name)


def fail(rf: RequestFactory, times: int = MAX_FAILURES, **of: str) -> None:
    for _ in range(times):
        one = attempt(rf, **of)
        assert one.reserve() == 0
        one.failed()
        one.end()


def test_the_wait_is_never_longer_than_the_window(clock: Clock, rf: RequestFactory) -> None:
    fail(rf)
    assert attempt(rf).reserve() == WINDOW_S
    clock.now_s += 0.5
    assert attempt(rf).reserve() == WINDOW_S
    clock.now_s += 29.5
    assert attempt(rf).reserve() == WINDOW_S - 30


def test_after_the_wait_one_attempt_is_free(clock: Clock, rf: RequestFactory) -> None:
    for _ in range(MAX_FAILURES):
        fail(rf, 1)
        clock.now_s += 2
    clock.now_s += attempt(rf).reserve()
    fail(rf, 1)
    assert attempt(rf).reserve() == 2


def test_a_minute_forgets_all(clock: Clock, rf: RequestFactory) -> None:
    fail(rf)
    clock.now_s += WINDOW_S
    assert attempt(rf).reserve() == 0


def test_a_clock_set_back_makes_no_longer_wait(clock: Clock, rf: RequestFactory) -> None:
    fail(rf)
    clock.now_s -= 3600
    assert attempt(rf).reserve() == WINDOW_S


def test_what_was_right_is_given_back(clock: Clock, rf: RequestFactory) -> None:
    for _ in range(3 * MAX_FAILURES):
        one = attempt(rf)
        assert one.reserve() == 0
        one.end()
    fail(rf)


def test_ten_being_judged_are_as_many_as_may_be(clock: Clock, rf: RequestFactory) -> None:
    judged = [attempt(rf) for _ in range(MAX_FAILURES)]
    assert [one.reserve() for one in judged] == [0] * MAX_FAILURES
    assert attempt(rf).reserve() == 1
    judged[0].end()
    assert attempt(rf).reserve() == 0


def test_waiting_ends_when_a_place_is_given_back(rf: RequestFactory) -> None:
    judged = [attempt(rf) for _ in range(MAX_FAILURES)]
    assert [one.reserve() for one in judged] == [0] * MAX_FAILURES
    threading.Timer(0.2, judged[0].end).start()
    assert attempt(rf).reserve() == 0


def test_tenants_do_not_lock_each_other_out(rf: RequestFactory) -> None:
    fail(rf)
    assert attempt(rf, "carol").reserve() > 0
    assert attempt(rf, slug="globex").reserve() == 0
    assert attempt(rf, "carol", slug="globex").reserve() == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, is_same: bool) -> None:
    assert (address_key(one) == address_key(other)) is is_same


def test_sixty_guesses_at_once_are_ten(rf: RequestFactory) -> None:
    judged: list[int] = []

    def guess(_: int) -> int:
        one = attempt(rf)
        wait_s = one.reserve()
        if not wait_s:
            judged.append(1)
            one.failed()
        one.end()
        return wait_s

    with ThreadPoolExecutor(60) as pool:
        waits = list(pool.map(guess, range(60)))
    assert len(judged) == MAX_FAILURES == waits.count(0)
    assert all(0 < wait_s <= WINDOW_S for wait_s in waits if wait_s)


def test_sixty_right_passwords_at_once(transactional_db: None, alice: User) -> None:
    """None is held back for long; tests/e2e/test_rights.py has the wrong ones."""
    answers: list[int] = []

    def ask(_: int) -> None:
        body = {"username": "alice", "password": PASSWORD}
        browser = Client(headers={"host": ACME_HOST})
        response = browser.post("/api/token/", body, content_type="application/json")
        answers.append(response.status_code)
        connection.close()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ask, range(60)))
    assert answers == [200] * 60


@pytest.mark.parametrize("page", CHANGE_PAGES)
def test_the_old_password_is_guessed_no_faster(alice: User, browser: Client, page: str) -> None:
    User.objects.update(is_staff=True)
    sign_in(browser, "alice")
    new = "s4ddle-and-bridle"
    body = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    for _ in range(10):
        assert browser.post(page, body).status_code == 200
    held = browser.post(page, body | {"old_password": PASSWORD})
    assert held.status_code == 429
    assert 0 < int(held["Retry-After"]) <= WINDOW_S
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize("page", CHANGE_PAGES)
def test_the_right_old_password_is_not_counted(alice: User, browser: Client, page: str) -> None:
    User.objects.update(is_staff=True)
    password = PASSWORD
    for number in range(12):
        sign_in(browser, "alice", password=password)
        new = f"s4ddle-and-bridle-{number}"
        body = {"old_password": password, "new_password1": new, "new_password2": new}
        assert browser.post(page, body).status_code == 302
        password = new


def test_the_admins_sign_in_is_held_back(alice: User, browser: Client) -> None:
    User.objects.update(is_staff=True)
    for _ in range(10):
        body = {"username": "alice", "password": "wrong"}
        assert browser.post("/admin/login/", body).status_code == 200
    held = browser.post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert held.status_code == 429
    assert 0 < int(held["Retry-After"]) <= WINDOW_S


def test_guesses_on_one_tenant_leave_the_others_people(alice: User, carol: User, post: Post) -> None:
    for number in range(10):
        post("token/", {"username": f"guess{number}", "password": "wrong"})
    assert post("token/", {"username": "alice", "password": PASSWORD}).status_code == 429
    there = post("token/", {"username": "carol", "password": PASSWORD}, host=GLOBEX_HOST)
    assert there.status_code == 200


# The pool


@pytest.fixture
def pool() -> Iterator[hashing.HashingPool]:
    pool = hashing.HashingPool(1, 2, 0.2)
    yield pool
    assert pool._executor is not None
    pool._executor.shutdown()


def test_the_pool_is_bounded(pool: hashing.HashingPool) -> None:
    """One runs, two wait and give up, more are refused at once."""
    release = threading.Event()
    running = 0
    most = 0

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        assert release.wait(10)
        running -= 1

    def ask(_: int) -> int:
        try:
            pool.run(work)
        except Refusal as refusal:
            return refusal.status
        return 200

    threading.Timer(0.6, release.set).start()
    with ThreadPoolExecutor(8) as asking:
        answers = sorted(asking.map(ask, range(8)))
    assert (answers, most) == ([200, *[503] * 7], 1)
    # What gave up leaves its place.
    assert pool.run(lambda: 5) == 5


def test_0_is_no_bound() -> None:
    pool = hashing.HashingPool(0, 0, 0.0)
    assert pool.run(threading.current_thread) is threading.current_thread()
    pool = hashing.HashingPool(1, 0, 0.0)
    with ThreadPoolExecutor(20) as asking:
        assert list(asking.map(pool.run, [_nap] * 20)) == [1] * 20


def _nap() -> int:
    threading.Event().wait(0.01)
    return 1


def test_a_busy_pool_is_503_everywhere(
    alice: User, browser: Client, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(browser, "alice")
    monkeypatch.setattr(hashing, "_pool", lambda: hashing.HashingPool(1, -1, 0.1))
    new = "s4ddle-and-bridle"
    change = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    for response in (
        post("token/", {"username": "alice", "password": PASSWORD}),
        post("token/", {"username": "nobody", "password": PASSWORD}),
        sign_in(Client(headers={"host": ACME_HOST}), "alice"),
        browser.post("/accounts/password/", change),
    ):
        assert response.status_code == 503, response.content
        assert int(response["Retry-After"]) == hashing.RETRY_AFTER_S
    # Not judged, so not counted.
    monkeypatch.undo()
    assert len(current_node().shared(SignIns, SignIns)._own) == 0


def test_names_that_nobody_has_cost_the_same(
    alice: User, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    pool = hashing.HashingPool(0, 0, 0.0)

    def run(work: Callable[..., object], *args: object) -> object:
        hashed.append(work.__name__)
        return work(*args)

    monkeypatch.setattr(pool, "run", run)
    monkeypatch.setattr(hashing, "_pool", lambda: pool)
    for name in ("alice", "nobody"):
        post("token/", {"username": name, "password": "wrong"})
    assert hashed == ["verify_password", "make_password"]


def test_the_settings_bound_it(settings: Settings) -> None:
    assert (settings.PASSWORD_THREADS, settings.PASSWORD_QUEUE, settings.PASSWORD_WAIT_S) == (2, 32, 5.0)
