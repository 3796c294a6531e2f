"""Bad input: the message, and that nothing has changed. R reads the same cases."""

import pytest
from cases import BAD_BLOCKS, BAD_INPUT, act, act_on_block, name_of


@pytest.mark.parametrize("case", BAD_INPUT, ids=name_of)
def test_message_and_state(case):
    action, state = act(case)
    before = state()
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the case says which)
        action()
    assert type(caught.value).__name__ == case["error"]
    assert str(caught.value) == case["message"]
    assert state() == before


@pytest.mark.parametrize("case", BAD_BLOCKS, ids=lambda case: f"{case['class']}: {case['id']}")
def test_message_of_a_block(case):
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the case says which)
        act_on_block(case)
    assert type(caught.value).__name__ == case["error"]
    assert str(caught.value) == case["message"]
