"""Every message about bad input is the same in both languages."""

import pytest
from cases import BAD_BLOCKS, BAD_INPUT, act, act_on_block, name_of
from conftest import ROOT, RError


@pytest.fixture(scope="module")
def r_cases(r):
    r(f"source('{ROOT / 'tests' / 'r' / 'helper-cases.R'}', chdir = TRUE); NULL")
    return r


def test_both_languages_have_the_same_cases(r_cases):
    names = "vapply(bad_input, function(case) paste0(case$layer[['function']], ': ', case$id), '')"
    assert r_cases(names) == [name_of(case) for case in BAD_INPUT]


@pytest.mark.parametrize("case", BAD_INPUT, ids=name_of)
def test_messages_are_equal(r_cases, case):
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the case says which)
        act(case)[0]()
    name, message = type(caught.value).__name__, str(caught.value)
    with pytest.raises(RError) as r_caught:
        r_cases(f"prepare(bad_input[[{BAD_INPUT.index(case) + 1}]])$act()")
    r_class, r_message = r_caught.value.args
    if case["do"] == "set_weights":  # a method of the Python object, which reticulate calls
        assert f"{name}: {message}" in r_message
    else:
        assert (r_class, r_message) == (f"layerapi_{name}", message)


@pytest.mark.parametrize("case", BAD_BLOCKS, ids=lambda case: f"{case['class']}: {case['id']}")
def test_messages_of_blocks_are_equal(r_cases, case):
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the case says which)
        act_on_block(case)
    number = BAD_BLOCKS.index(case) + 1
    r_cases(f"case <- read_cases('bad_blocks')[[{number}]]; NULL")
    with pytest.raises(RError) as r_caught:
        r_cases("do.call(get(case[['function']]), lapply(case$arguments, special))")
    assert r_caught.value.args == (f"layerapi_{type(caught.value).__name__}", str(caught.value))
