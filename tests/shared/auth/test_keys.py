"""Key files: refused with a sentence when they are not safe or not keys, and made readable by one user alone."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from stepwell_shared.auth.keys import (
    KeyFileError,
    choose_key,
    load_private_key,
    load_private_keys,
    make_private_key,
    public_key_set,
    read_public_keys,
)

from tests.shared.auth.parties import ec_key


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o604, 0o666, 0o601, 0o644])
def test_a_key_that_everybody_can_reach_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.jwk"
    make_private_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        load_private_key(path)


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        "{}",
        {"keys": []},
        ec_key().as_dict(private=False),
        ECKey.generate_key("P-256").as_dict(private=True),
        OctKey.generate_key(256).as_dict(private=True),
        {**ec_key().as_dict(private=True), "use": "enc"},
        {**ec_key().as_dict(private=True), "x": "AA"},
    ],
    ids=range(9),
)
def test_what_is_no_private_key_of_ours_is_refused(tmp_path: Path, content: object) -> None:
    path = write(tmp_path / "a.jwk", content)
    with pytest.raises(KeyFileError, match=str(path)):
        load_private_keys(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_private_key(tmp_path / "nowhere.jwk")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.jwk"
    made = make_private_key(path)
    with pytest.raises(KeyFileError, match="already there"):
        make_private_key(path)
    assert load_private_key(path).kid == made.kid


def test_a_set_that_gives_a_private_key_away_is_refused() -> None:
    with pytest.raises(KeyFileError, match="private"):
        read_public_keys({"keys": [ec_key().as_dict(private=True)]})


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": {}}, {"keys": [{}] * 33}], ids=str)
def test_what_is_no_key_set_is_refused(jwks: object) -> None:
    with pytest.raises(KeyFileError):
        read_public_keys(jwks)


def test_keys_of_other_kinds_and_small_sizes_are_passed_over() -> None:
    usable = public_key_set([ec_key()])["keys"]
    small = {"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB", "kid": "small"}
    others = [ECKey.generate_key("P-256").as_dict(private=False), small, {"kty": "OKP"}, "text", None]
    assert [key.kid for key in read_public_keys({"keys": [*others, *usable]})] == [usable[0]["kid"]]


def test_two_keys_of_one_id_are_none() -> None:
    one, other = ec_key(), ec_key()
    same = [{**key.as_dict(private=False), "kid": "same"} for key in (one, other)]
    assert choose_key(read_public_keys({"keys": same}), "same", "ES384") is None


def test_a_key_is_chosen_by_id_and_kind() -> None:
    elliptic, rsa = ec_key(), RSAKey.generate_key(2048, auto_kid=True)
    keys = read_public_keys(public_key_set([elliptic, rsa]))
    assert choose_key(keys, str(rsa.kid), "RS384") == keys[1]
    assert choose_key(keys, str(rsa.kid), "ES384") is None
    assert choose_key(keys, str(rsa.kid), "HS384") is None


def test_a_made_key_is_its_owners_alone_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.jwk"
    made = make_private_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_private_key(path).as_dict(private=True) == made.as_dict(private=True)


def test_the_first_key_of_a_set_signs_and_all_are_published(tmp_path: Path) -> None:
    keys = [ec_key(), ec_key()]
    path = write(tmp_path / "set.jwk", {"keys": [key.as_dict(private=True) for key in keys]})
    loaded = load_private_keys(path)
    assert load_private_key(path).kid == keys[0].kid
    assert [key["kid"] for key in public_key_set(loaded)["keys"]] == [key.kid for key in keys]
