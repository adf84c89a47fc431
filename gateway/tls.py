"""What the edge needs to speak TLS: a context made of the two files that the settings name."""

import ssl

from skyhooks.errors import SettingsError


def server_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """The context for a certificate chain and its private key, both paths of PEM files; None without a certificate.

    Without `key` the certificate's file holds it too. TLS 1.2 is the oldest version offered (RFC 8996).
    Raises `SettingsError` for files that cannot be read, do not belong together or need a passphrase.
    """
    if not certificate:
        if key:
            raise SettingsError("tls_key is set and tls_certificate is not: set both, or neither")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key or None, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"tls_certificate {certificate!r} and tls_key {key!r} are the PEM files of a certificate chain and of its "
            f"private key without a passphrase: {error}"
        ) from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key needs a passphrase")  # otherwise OpenSSL would ask for it on the terminal
