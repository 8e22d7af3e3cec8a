"""Each module of the REST framework's parts can be the first that is imported: that framework imports some by setting."""

from tests.servers.databases import QUICK, REPOSITORY, base_environment, run_python

PARTS = ("realtime/rest", "accounts/rest", "chat/rest")
# A child for each module, so that none finds what another one has imported.
IMPORT_EACH = """
import importlib, os, sys, traceback
import django
django.setup()
failed = 0
for name in sys.argv[1:]:
    if (pid := os.fork()) == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    failed += os.waitpid(pid, 0)[1] != 0
sys.exit(failed)
"""


def test_each_can_be_imported_first() -> None:
    paths = [path for part in PARTS for path in sorted((REPOSITORY / part).rglob("*.py"))]
    names = [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in paths]
    assert len(names) > 20
    done = run_python("-c", IMPORT_EACH, *names, env=base_environment() | QUICK)
    assert done.returncode == 0, done.stderr
