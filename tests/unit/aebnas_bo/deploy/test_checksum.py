import pytest

from aebnas_bo.deploy.checksum import UNSEALED, check_seal, seal
from aebnas_bo.deploy.description import NetworkFileError


def test_a_seal_fits_what_was_sealed_and_nothing_else() -> None:
    data = b"before " + UNSEALED.encode() + b" behind"
    sealed = seal(data)
    assert len(sealed) == len(data)
    check_seal(sealed, "file")
    for damaged in (sealed.replace(b"before", b"befora"), sealed[:-1] + b"x", sealed + b" "):
        with pytest.raises(NetworkFileError, match="file is damaged: it does not match its hash"):
            check_seal(damaged, "file")


@pytest.mark.parametrize("data", [b"", b"no seal", 2 * seal(UNSEALED.encode())])
def test_what_was_never_sealed_is_refused(data) -> None:
    with pytest.raises(NetworkFileError, match="file was not written by aebnas_bo"):
        check_seal(data, "file")
