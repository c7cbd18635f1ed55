"""A certificate for a server of the tests, which only they trust."""

import subprocess
from pathlib import Path


def make_certificate(directory: Path, names: str) -> tuple[Path, Path]:
    """The certificate for these subject alternative names, and its key."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=test", "-days", "1"]
    words += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(words, check=True, capture_output=True)
    return cert, key
