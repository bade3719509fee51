"""The bell: what is lost with it is time, never a message."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from django_q.models import OrmQ, Schedule

import messaging
from messaging import background, tasks

pytestmark = pytest.mark.django_db


def test_a_bell_carries_the_name_of_a_job_and_numbers_only() -> None:
    assert background.run("drain")
    assert background.run("poll", 7)
    assert background.queue_length() == 2
    jobs = [item.task for item in OrmQ.objects.order_by("id")]
    assert [(job["func"], job["args"]) for job in jobs] == [
        ("messaging.tasks.drain", ()),
        ("messaging.tasks.poll", (7,)),
    ]


def test_a_queue_out_of_order_costs_the_caller_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: Any) -> None:
        raise RuntimeError("no queue")

    monkeypatch.setattr("django_q.tasks.async_task", broken)
    assert background.run("drain") is False
    assert "drain" in caplog.text


def test_the_tick_exists_once_whoever_made_it() -> None:
    assert not background.has_schedule()
    background.ensure_schedule()
    background.ensure_schedule()
    row = Schedule.objects.get()
    assert (row.func, row.schedule_type, row.minutes, row.repeats) == (
        "messaging.tasks.tick",
        Schedule.MINUTES,
        1,
        -1,
    )
    assert background.has_schedule()
    # Two workers that started at the same moment, and somebody's mistake.
    Schedule.objects.create(name=background.TICK, func="os.system")
    Schedule.objects.filter(pk=row.pk).update(func="os.system", minutes=9)
    background.ensure_schedule()
    row = Schedule.objects.get()
    assert (row.func, row.minutes) == ("messaging.tasks.tick", 1)


def calls_in(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def named(call: ast.Call, name: str) -> bool:
    function = call.func
    return getattr(function, "attr", getattr(function, "id", "")) == name


def test_every_bell_in_our_code_names_a_job_that_exists() -> None:
    """Arguments are pickled into the database unsigned: a job's name and whole numbers only."""
    root = Path(messaging.__file__).parent
    rung = 0
    for path in root.rglob("*.py"):
        for call in calls_in(path):
            if named(call, "async_task"):
                assert path.name == "background.py"
            if named(call, "run") and getattr(call.func, "value", None) is not None:
                owner = getattr(call.func.value, "id", "")  # type: ignore[attr-defined]
                if owner == "background":
                    (job,) = call.args
                    assert isinstance(job, ast.Constant)
                    assert callable(getattr(tasks, str(job.value)))
                    rung += 1
    assert rung >= 3
