"""The README's tour, pasted as it stands, and its tables against the code."""

import asyncio
import json
import os
import re
from pathlib import Path

from gateway_hub.app import create_app
from gateway_hub.services.hub import Hub
from gateway_hub.settings import PREFIX, Settings
from tests.serving import serving

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
TOUR = re.findall(r"<!-- tour -->\n```sh\n(.*?)```", README, re.DOTALL)


async def test_the_tour_runs_as_it_is_written(hub: Hub, tmp_path: Path) -> None:
    key = await hub.access.ensure_first_key()
    assert key is not None
    settings = Settings(data_dir=tmp_path, long_poll_seconds=0)
    async with serving(create_app(settings, hub)) as port:
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            "".join(TOUR),
            env=os.environ | {"HUB": f"http://127.0.0.1:{port}", "KEY": key.secret},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, errors + output
    assert re.search(r"^delivered$", output, re.MULTILINE)
    assert re.search(r"^sent$", output, re.MULTILINE)
    assert "<![CDATA[Asante]]>" in output
    listed = json.loads(output[output.rindex('{\n    "data"') :])["data"]
    assert [(item["type"], item["text"]) for item in listed] == [
        ("call", ""),
        ("sms", "Habari"),
        ("sms", "Nzuri"),
    ]


def test_the_settings_table_lists_every_setting() -> None:
    listed = set(re.findall(rf"^\| `{PREFIX}(\w+)`", README, re.MULTILINE))
    assert listed == {name.upper() for name in Settings.model_fields}


def test_every_file_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    missing = [link for link in links if not (Path(__file__).parent.parent / link).exists()]
    assert missing == []
