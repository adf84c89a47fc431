import ssl
import subprocess
from pathlib import Path

import pytest

from gateway.tls import server_context
from skyhooks.errors import SettingsError
from tests.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> tuple[str, str]:
    certificate, key = authority.issue("loopback", "IP:127.0.0.1")
    return str(certificate), str(key)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert server_context("", "") is None


def test_a_certificate_and_its_key_make_a_server_of_modern_versions(files: tuple[str, str]) -> None:
    context = server_context(*files)
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE


def test_the_key_may_be_in_the_certificates_file(files: tuple[str, str], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(Path(files[0]).read_text() + Path(files[1]).read_text())
    assert server_context(str(both), "") is not None


def test_a_key_alone_is_refused(files: tuple[str, str]) -> None:
    with pytest.raises(SettingsError, match="tls_certificate is not"):
        server_context("", files[1])


def test_files_that_do_not_belong_together_are_refused(files: tuple[str, str], authority: Authority) -> None:
    _, other = authority.issue("other", "IP:127.0.0.1")
    with pytest.raises(SettingsError, match="tls_certificate"):
        server_context(files[0], str(other))


@pytest.mark.parametrize(("certificate", "key"), [("/nowhere.pem", ""), ("/etc/hostname", ""), ("/", "/")])
def test_files_that_are_none_are_refused(certificate: str, key: str) -> None:
    with pytest.raises(SettingsError, match="PEM"):
        server_context(certificate, key)


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(files: tuple[str, str], tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", files[1], "-out", str(locked), "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(SettingsError, match="passphrase"):
        server_context(files[0], str(locked))
