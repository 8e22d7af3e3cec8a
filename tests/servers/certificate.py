"""Certificates for servers of tests, signed by themselves."""

import subprocess
from pathlib import Path

from tests.servers.clock import environment, has_clocks

HOUR_S = 3600


def make_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Make one for `names` (`DNS:…`, `IP:…`), valid from an hour ago for two days, where that is possible.

    A server whose clock is behind takes no certificate of its future. Returns the files of certificate and key.
    """
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={names[0].partition(':')[2]}",
            ),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", f"subjectAltName={','.join(names)}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        env=environment(-HOUR_S) if has_clocks() else None,
    )
    return certificate, key
