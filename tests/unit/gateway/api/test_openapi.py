import json

import pytest
import schemathesis

from gateway import settings as gateway_settings
from gateway.api.openapi import NOT_LIMITS, document, encoded, limits
from gateway.edge.settings import EdgeSettings
from gateway.settings import NodeSettings
from tests.unit.gateway.api.conftest import Client, read
from tests.unit.gateway.nodes import call, running

SETTINGS = NodeSettings()


@pytest.mark.parametrize("signed", [True, False])
def test_the_document_is_openapi(signed: bool) -> None:
    made = json.loads(encoded(SETTINGS, signed=signed))
    assert made["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(made).validate()
    assert ("securitySchemes" in made["components"]) is signed
    assert ("security" in made["paths"]["/hooks"]["post"]) is signed


def test_every_reference_leads_somewhere() -> None:
    made = document(SETTINGS, signed=True)
    text = json.dumps(made)
    for reference in {part.partition('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        place = made
        for name in reference.split("/"):
            place = place[name]


def test_each_get_has_a_head_without_content() -> None:
    for path, methods in document(SETTINGS, signed=False)["paths"].items():
        assert ("get" in methods) is ("head" in methods), path
        if "head" in methods:
            assert "content" not in methods["head"]["responses"].get("200", {}), path
            assert methods["head"].get("parameters") == methods["get"].get("parameters")


def test_the_limits_are_those_of_the_node() -> None:
    custom = NodeSettings(body_bytes=5, batch_items=7)
    assert limits(custom)["body_bytes"] == 5
    assert limits(custom)["header_bytes"] == SETTINGS.header_bytes
    assert "up to 7," in document(custom, signed=False)["paths"]["/hooks"]["post"]["description"]
    known = {setting.name for setting in EdgeSettings.all()}
    assert set(limits(SETTINGS)) == known - NOT_LIMITS | {"batch_items"}
    assert gateway_settings.NodeSettings.secret.name not in limits(SETTINGS)


def test_nothing_secret_is_told() -> None:
    settings = NodeSettings(secret="whsec_sesame", store="mongodb://user:sesame@host", broker="amqp://u:sesame@h")
    assert b"sesame" not in encoded(settings, signed=True)


async def test_a_node_serves_its_own(ask: Client) -> None:
    answer = await ask("GET", "/openapi.json")
    assert (answer.code, answer.headers["Content-Type"]) == (200, "application/json")
    assert read(answer) == {}
    async with running(batch_items=9) as node:
        served = await call(node, "GET", "/openapi.json")
        assert served.json() == json.loads(encoded(node.settings, signed=False))
        assert served.json()["info"]["x-limits"]["batch_items"] == 9
