"""The executor on a stand-in for Ray: no process is started, and time passes only when it waits."""

from dataclasses import dataclass, field

import pytest

from aebnas_bo.errors import ConfigError, ExecutionError
from aebnas_bo.execution import ray_executor as module
from aebnas_bo.execution.executor import Outcome, Ticket
from aebnas_bo.execution.ray_executor import RayExecutor
from aebnas_bo.execution.settings import ExecutionConfig


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause) -> None:
        self.cause = cause
        super().__init__(str(cause))


class ActorDiedError(RayError):
    pass


@dataclass(eq=False)
class Reference:
    """A result that is there, or is not yet."""

    value: object = None
    error: Exception | None = None
    is_there: bool = True


@dataclass(eq=False)
class Method:
    call: object

    def options(self, **_) -> "Method":
        return self

    def remote(self, *arguments) -> Reference:
        return self.call(*arguments)


@dataclass(eq=False)
class Handle:
    ray: "FakeRay"
    name: str
    work: object
    is_silent: bool = False

    def _run(self, job) -> Reference:
        if job == "never" or self.is_silent:
            reference = Reference(is_there=False)
        else:
            try:
                reference = Reference(self.work(job))
            except Exception as error:
                reference = Reference(error=RayTaskError(error))
        self.ray.running[self.name] = reference
        return reference

    @property
    def run(self) -> Method:
        return Method(self._run)

    @property
    def place(self) -> Method:
        failure = self.ray.failure
        if failure is not None:
            return Method(lambda: Reference(error=RayTaskError(failure)))
        return Method(lambda: Reference((self.name, f"node of {self.name}"), is_there=self.name not in self.ray.silent))


@dataclass(eq=False)
class FakeRay:
    """Stands for the module `ray`."""

    now: float = 0.0
    handles: list[Handle] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    running: dict[str, Reference] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    puts: int = 0
    failure: Exception | None = None
    asked: dict[str, object] = field(default_factory=dict)

    class exceptions:  # noqa: N801  a module in Ray
        RayError = RayError
        RayTaskError = RayTaskError

    def put(self, value):
        self.puts += 1
        return value

    def remote(self, **asked):
        self.asked = asked

        class Class:
            @staticmethod
            def remote(make) -> Handle:
                self.handles.append(Handle(self, f"worker{len(self.handles)}", make()))
                return self.handles[-1]

        return lambda _: Class

    def wait(self, references, num_returns, timeout):
        ready = [one for one in references if one.is_there]
        if len(ready) < num_returns:
            self.now += timeout
        return ready, [one for one in references if not one.is_there]

    def get(self, reference, timeout):
        assert reference.is_there
        if reference.error is not None:
            raise reference.error
        return reference.value

    def kill(self, handle) -> None:
        self.killed.append(handle.name)

    def nodes(self):
        return [{"NodeID": f"node of {one.name}", "Alive": one.name not in self.gone} for one in self.handles]


@pytest.fixture
def ray(monkeypatch) -> FakeRay:
    fake = FakeRay()

    class Clock:
        monotonic = staticmethod(lambda: fake.now)

        @staticmethod
        def sleep(seconds: float) -> None:
            fake.now += seconds

    monkeypatch.setattr(module, "time", Clock)
    return fake


def double(job):
    if job == "fails":
        raise ConfigError("a bad job")
    return 2 * job


def executor(ray, **settings) -> RayExecutor:
    settings = {"workers": 2, "lease_s": 20.0, "gpus_per_worker": 0.25, **settings}
    made = RayExecutor(ray, lambda: double, ExecutionConfig(engine="ray", **settings))
    made.wait(1.0)  # the workers get ready
    return made


def test_shared_data_is_put_once_and_ray_neither_restarts_nor_repeats(ray) -> None:
    executor(ray)
    assert (ray.puts, len(ray.handles)) == (1, 2)
    assert ray.asked["max_restarts"] == ray.asked["max_task_retries"] == 0
    assert (ray.asked["num_cpus"], ray.asked["num_gpus"]) == (1.0, 0.25)


def test_workers_are_free_once_they_are_ready(ray) -> None:
    made = RayExecutor(ray, lambda: double, ExecutionConfig(engine="ray", workers=1))
    assert made.free_worker is None
    made.wait(1.0)
    assert made.free_worker == "worker0"


def test_results_and_errors_of_jobs(ray) -> None:
    made = executor(ray)
    made.submit(Ticket(0), 21)
    made.submit(Ticket(1), "fails")
    assert made.free_worker is None
    with pytest.raises(ValueError, match="no worker is free"):
        made.submit(Ticket(2), 1)
    first, second = made.wait(1.0)
    assert first == Outcome(Ticket(0), "worker0", 42)
    assert (second.ticket, type(second.error), second.lost) == (Ticket(1), ConfigError, "")
    assert made.free_worker == "worker0"  # also the worker of the failed job goes on
    assert not ray.killed


def test_work_that_cannot_be_pickled_is_refused(ray, monkeypatch) -> None:
    def put(value):
        raise TypeError("cannot pickle a generator")

    monkeypatch.setattr(ray, "put", put)
    with pytest.raises(ConfigError, match=r"the work cannot be sent to workers \(cannot pickle a generator"):
        executor(ray)


def test_a_dead_worker_is_replaced(ray) -> None:
    made = executor(ray)
    made.submit(Ticket(0), "never")
    reference = ray.running["worker0"]
    reference.is_there, reference.error = True, ActorDiedError("The actor died.\nDetails")
    assert made.wait(1.0) == [Outcome(Ticket(0), "worker0", lost="ActorDiedError: The actor died.")]
    assert [one.name for one in ray.handles] == ["worker0", "worker1", "worker2"]


def test_a_worker_without_a_sign_of_life_is_lost_after_its_lease(ray) -> None:
    made = executor(ray)
    made.submit(Ticket(0), "never")
    for _ in range(100):
        assert made.wait(1.0) == []  # it gives signs of life
    ray.silent.add("worker0")
    began, lost = ray.now, []
    while not lost:
        lost = made.wait(1.0)
    assert lost[0].ticket == Ticket(0)
    assert lost[0].lost.startswith("no sign of life for 2")
    assert ray.now - began <= 20.0 + 2.0
    assert ray.killed == ["worker0"]
    late = ray.running["worker0"]
    late.is_there, late.value = True, 7
    assert made.wait(1.0) == []  # nobody asks for it any more


def test_the_worker_of_a_node_that_left_is_lost(ray) -> None:
    made = executor(ray)
    made.submit(Ticket(0), "never")
    ray.gone.add("worker0")
    ended = []
    while not ended:
        ended = made.wait(1.0)
    assert ended == [Outcome(Ticket(0), "worker0", lost="its node left the cluster")]
    assert ray.now < 5.0


def test_work_that_cannot_be_constructed_ends_the_search_with_its_error(ray) -> None:
    ray.failure = ConfigError("another version")
    made = RayExecutor(ray, lambda: double, ExecutionConfig(engine="ray", workers=1))
    with pytest.raises(ConfigError, match="another version"):
        made.wait(1.0)
    ray.failure = OSError("no disk")
    made = RayExecutor(ray, lambda: double, ExecutionConfig(engine="ray", workers=1))
    with pytest.raises(ExecutionError, match="cannot start: no disk"):
        made.wait(1.0)


def test_a_cluster_without_room_is_waited_for_only_so_long(ray) -> None:
    ray.silent.update({"worker0", "worker1"})
    made = RayExecutor(ray, lambda: double, ExecutionConfig(engine="ray", workers=2))
    for _ in range(300):
        made.wait(1.0)
    with pytest.raises(ExecutionError, match="no worker of the Ray cluster has been ready for 301 s"):
        made.wait(1.0)


def test_closing_kills_all_workers(ray) -> None:
    made = executor(ray)
    made.close()
    assert ray.killed == ["worker0", "worker1"]
