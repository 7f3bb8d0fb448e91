"""The form of a policy file as JSON Schema, for editors: `python -m services.policy.schema` writes it anew."""

import json
from pathlib import Path

from services.policy.document import Document

PATH = Path(__file__).parent / "rules" / "policy.schema.json"


def render() -> str:
    schema = Document.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "yunhui policy"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
