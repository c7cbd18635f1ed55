"""The key file, in the forms that tsig-keygen and people write."""

from base64 import b64decode
from pathlib import Path

import pytest

from spotwatch.core.errors import InputError
from spotwatch.dns.tsig import read_key

GOOD = 'key "spotwatch" {\n\talgorithm hmac-sha256;\n\tsecret "YWJj//9kZWY=";\n};\n'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"// made for the web servers\n# by hand\n/* and\nso on */\n{GOOD}",
        "key spotwatch { secret YWJj//9kZWY=; algorithm HMAC-SHA256; };",
    ],
    ids=["tsig-keygen", "comments", "without quotes"],
)
def test_a_key_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    key = read_key(path)
    assert key.name.to_text() == "spotwatch."
    assert key.secret == b64decode("YWJj//9kZWY=")
    assert key.algorithm.to_text() == "hmac-sha256."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("key spotwatch { secret YWJj; };", "the key has no algorithm"),
        ("key spotwatch { algorithm hmac-sha256; };", "the key has no secret"),
        ("key spotwatch { algorithm rot13; secret YWJj; };", '"rot13" is no algorithm'),
        ("key spotwatch { algorithm hmac-sha256; secret abc; };", "cannot be used"),
    ],
)
def test_what_is_no_key_is_refused_with_the_way_to_make_one(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        read_key(path)
    assert raised.value.hint


def test_a_key_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"key cannot be read: No such file or directory$") as raised:
        read_key(tmp_path / "key")
    assert "--key-file" in raised.value.hint
