"""What Ray's cluster launcher and its clouds say of a configuration, without a cloud.

Ray's schema and checks are those that `ray up` runs. What a node is made of is held against the definitions of the
clouds themselves: `RunInstances` as boto3 has it, `Instance` as Google's client has it.
"""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import googleapiclient.discovery_cache
import jsonschema
import ray.autoscaler
from botocore.validate import ParamValidator
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig


def prepared(config: dict[str, Any]) -> AutoscalingConfig:
    """The configuration as the autoscaler has it, with Ray's defaults; an error where Ray refuses it."""
    return AutoscalingConfig(copy.deepcopy(config), skip_content_hash=True)


def problems(config: dict[str, Any]) -> list[str]:
    """What is wrong with a configuration, a sentence each; none where Ray and the cloud would take it."""
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    try:
        jsonschema.validate(config, schema)  # before defaults hide what is missing
        prepared(config)
    except (jsonschema.ValidationError, ValueError, AssertionError, KeyError) as error:
        return [f"Ray: {getattr(error, 'message', error)}"]
    known = schema["properties"]["provider"]["properties"].keys()
    found = [f"provider: unknown {name}" for name in config["provider"] if name not in known]
    check = {"aws": _of_aws, "gcp": _of_gcp}[config["provider"]["type"]]
    for name, node in config["available_node_types"].items():
        found += [f"{name}: {problem}" for problem in check(node["node_config"])]
    return found


@cache
def _run_instances() -> Any:
    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def _of_aws(node: dict[str, Any]) -> list[str]:
    report = ParamValidator().validate(node | {"MinCount": 1, "MaxCount": 1}, _run_instances())
    missing = [f"no {name}" for name in ("InstanceType", "ImageId") if name not in node]
    return missing + ([report.generate_report()] if report.has_errors() else [])


@cache
def _instance() -> jsonschema.Draft202012Validator:
    documents = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
    schemas = json.loads((documents / "compute.v1.json").read_text())["schemas"]
    strict = {name: _strict(schema) for name, schema in schemas.items()}
    return jsonschema.Draft202012Validator({"$ref": "#/$defs/Instance", "$defs": strict})


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of Google's as JSON schema that refuses unknown fields."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    if schema.get("format") in ("int64", "uint64"):  # text in their answers, a number will do in what they are sent
        return {"type": ["integer", "string"]}
    kept: dict[str, Any] = {} if schema.get("type") in (None, "any") else {"type": schema["type"]}
    kept |= {"enum": schema["enum"]} if "enum" in schema else {}
    kept |= {"items": _strict(schema["items"])} if "items" in schema else {}
    if "properties" in schema:
        kept |= {"properties": {k: _strict(v) for k, v in schema["properties"].items()}, "additionalProperties": False}
    elif "additionalProperties" in schema:
        kept["additionalProperties"] = _strict(schema["additionalProperties"])
    return kept


def _of_gcp(node: dict[str, Any]) -> list[str]:
    missing = [f"no {name}" for name in ("machineType", "disks") if name not in node]
    return missing + [f"{error.json_path}: {error.message}" for error in _instance().iter_errors(node)]
