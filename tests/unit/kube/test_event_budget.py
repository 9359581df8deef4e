"""Which Events are sent one by one."""

from __future__ import annotations

from secretsyncer.kube.event_budget import NORMAL, REMEMBERED, Budget


def test_what_a_crowded_namespace_leaves_out_makes_no_tokens_of_other_objects_forgotten():
    time = [0.0]
    budget = Budget(NORMAL, clock=lambda: time[0])
    for _ in range(50):
        time[0] += 10
        allowed = budget.allows("team", "busy")
    assert not allowed  # the object has used its tokens; its namespace has some left
    for number in range(REMEMBERED + 1):
        budget.allows("crowd", f"object-{number}")
    time[0] += 10
    assert not budget.allows("team", "busy")
    assert budget.allows("team", "quiet")
