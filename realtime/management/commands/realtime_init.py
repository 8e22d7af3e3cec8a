"""`manage.py realtime_init`: writes the lines that a project needs into its settings."""

import difflib
import importlib
import os
import subprocess
import sys
import tempfile
import tokenize
from argparse import ArgumentParser
from pathlib import Path
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from realtime.management.settings_edit import Edited, add_lines
from realtime.setup_checks import application_fault

# Seconds that the changed settings may take to be imported.
IMPORT_TIMEOUT_S = 60.0


class Command(BaseCommand):
    """Adds the app, the application and a place for topic rules. Repeatable; shows what it changes."""

    help = "Write the lines of realtime into the settings module; shows the difference. Repeatable."
    # The checks would fail for the settings that this command adds.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the choice to change nothing."""
        parser.add_argument("--dry-run", action="store_true", help="show the difference and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the file, unless Python could not import it afterwards."""
        path = _settings_file()
        with tokenize.open(path) as file:
            encoding = file.encoding
        old = path.read_bytes().decode(encoding)
        edited = _edited(path, old)
        for note in edited.notes:
            self.stderr.write(note)
        if edited.text == old:
            self.stdout.write(f"{path} has all that is needed.")
            return
        self.stdout.write(_difference(path, old, edited.text))
        if options["dry_run"]:
            return
        _replace(path, edited.text.encode(encoding))
        if fault := _import_fault():
            _replace(path, old.encode(encoding))
            raise CommandError(
                f"{path} is as before, because Python could not import it with these lines: {fault}"
            )
        self.stdout.write(f"Written to {path}. Next: manage.py migrate, manage.py check, manage.py serve.")


def _settings_file() -> Path:
    module = _settings_module(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    path = Path(module.__file__ or "")
    if path.suffix != ".py" or not path.is_file():
        raise CommandError(f"The settings module {module.__name__} is no file that could be changed.")
    return path


def _settings_module(name: str) -> ModuleType:
    if not name:
        raise CommandError("Name the settings: python -m realtime --settings mysite.settings.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CommandError(f"{name} cannot be imported: {error}.") from error
        advice = "Run this in the folder of manage.py, and name your settings with --settings"
        raise CommandError(f"There is no module {error.name!r} here. {advice}.") from error
    except Exception as error:
        raise CommandError(f"{name} cannot be imported: {type(error).__name__}: {error}.") from error


def _edited(path: Path, text: str) -> Edited:
    application = getattr(settings, "ASGI_APPLICATION", None)
    has_sockets = bool(application) and not application_fault(str(application))
    try:
        # Line ends of Windows stay, and the added lines get them, too.
        edited = add_lines(text, replaces_application=not has_sockets)
    except SyntaxError as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    if "\r\n" in text:
        edited.text = edited.text.replace("\r\n", "\n").replace("\n", "\r\n")
    return edited


def _difference(path: Path, old: str, new: str) -> str:
    names = (str(path), f"{path} (new)")
    return "\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm=""))


def _replace(path: Path, content: bytes) -> None:
    """Replace the file in one step, because a server may import it at any moment."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
    temporary = Path(file.name)
    temporary.chmod(path.stat().st_mode)
    temporary.replace(path)


def _import_fault() -> str:
    """Return the last line of the error when a new Python imports the changed settings; "" if it imports them."""
    code = "import django; django.setup()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    done = subprocess.run(  # noqa: S603 our own interpreter and a constant
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=IMPORT_TIMEOUT_S,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended"])[-1]
