"""The far end of `OrmShell`: runs what it is sent, with Django set up. Started as a script."""

import json
import os
import sys
import traceback

import django


def main() -> None:
    """One JSON object a line in, one a line out; `result` in the code is what goes back."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rockstar_site.settings")
    django.setup()
    answers = sys.stdout
    # What Django or the code itself prints must not be taken for an answer.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(request: dict[str, object]) -> dict[str, object]:
    names: dict[str, object] = {"result": None, **request["names"]}  # type: ignore[dict-item]
    try:
        exec(str(request["code"]), names)
    except Exception:
        return {"error": traceback.format_exc()}
    return {"result": names["result"]}


if __name__ == "__main__":
    main()
