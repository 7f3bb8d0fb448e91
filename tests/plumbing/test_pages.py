"""The token of a page leads on from it, and nothing else that somebody sends as one does any harm."""

import base64

import pytest

from services.platform.serving import errors, pages


def test_a_token_says_what_it_was_made_of() -> None:
    assert pages.from_token(pages.to_token(1_751_846_400_000, "rsv_1")) == (1_751_846_400_000, "rsv_1")
    assert pages.from_token("") is None
    assert pages.from_text_token(pages.to_token("shan4 xiong2 xin4 单雄信", '单 "1"')) == (
        "shan4 xiong2 xin4 单雄信",
        '单 "1"',
    )
    assert pages.from_text_token(pages.to_token("", "")) == ("", "")
    assert pages.from_text_token("") is None


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "[",
            "null",
            "7",
            "[1]",
            "[1,2]",
            "[1,2,3]",
            '{"a":1}',
            '[1.5,"x"]',
            '[-1,"x"]',
            '[1,{"a":1}]',
        ),
        *('[1e400,"x"]', '[NaN,"x"]', f'[{2**63},"x"]', f'[{"9" * 5000},"x"]', '[true,"x y"]', "[" * 9000),
        *(r'[1,"\ud800"]', r'[1,"\u0000"]', f'[1,"{"x" * 129}"]', "[1,null]", "[1,2]"),
        *('["","x",""]', '[null,"x"]', '[["a"],"x"]', r'["\u0000","x"]', r'["\udfff","x"]', f'["{"x" * 4097}","x"]'),
    ],
)
def test_what_is_no_token_of_ours_is_refused(content: str) -> None:
    for token in (base64.urlsafe_b64encode(content.encode()).decode() or "x", content or "é"):
        for read in (pages.from_token, pages.from_text_token):
            with pytest.raises(errors.RpcError, match="page_token"):
                read(token)


def test_a_token_of_another_order_is_refused() -> None:
    """Whoever changes the order of a list begins anew."""
    with pytest.raises(errors.RpcError, match="page_token"):
        pages.from_text_token(pages.to_token(1, "x"))
    with pytest.raises(errors.RpcError, match="page_token"):
        pages.from_token(pages.to_token("1", "x"))
