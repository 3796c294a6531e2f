"""Bad input: the message, and that nothing has changed. R reads the same cases."""

import pytest
from cases import BAD_INPUT, act, name_of


@pytest.mark.parametrize("case", BAD_INPUT, ids=name_of)
def test_message_and_state(case):
    action, state = act(case)
    before = state()
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the case says which)
        action()
    assert type(caught.value).__name__ == case["error"]
    assert str(caught.value) == case["message"]
    assert state() == before
