"""Writes the JSON schemas beside it, from the models that the projects themselves publish.

Run after raising a version below, in an environment of its own (KServe's package brings half of the
cloud along, so its models are read, not imported):

    pip install kubeflow-trainer-api==2.3.0 cloudcoil-models-prometheus-operator
    pip download --no-deps --dest /tmp/kserve kserve==0.21.0
    python deploy/schemas/vendor.py /tmp/kserve/kserve-0.21.0-py3-none-any.whl

Types of Kubernetes itself are not copied: they stay references to the definitions that
kubernetes-validate carries. Unknown properties are refused everywhere, because a cluster would
silently drop them.
"""

import ast
import json
import re
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob
from kubeflow_trainer_api.models.trainer_v1alpha1_training_runtime import (
    TrainerV1alpha1TrainingRuntime,
)
from pydantic import BaseModel

HERE = Path(__file__).parent
KUBERNETES = "/api/_definitions.json#/$defs/"
PLAIN_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "object": {},
    "ResourceQuantity": {"type": ["string", "number"]},
    "datetime": {"type": "string"},
}


def main(kserve_wheel: Path) -> None:
    """Write one schema a kind, with its origin in `$comment`."""
    known = _kubernetes_names()
    kserve = _KserveModels(kserve_wheel, known)
    kserve_origin = f"kserve {kserve_wheel.name.split('-')[1]} (Apache-2.0)"
    _write("serving-runtime", kserve.schema("V1alpha1ServingRuntime"), kserve_origin)
    _write("inference-service", kserve.schema("V1beta1InferenceService"), kserve_origin)
    trainer_origin = f"kubeflow-trainer-api {version('kubeflow-trainer-api')} (Apache-2.0)"
    _write("train-job", _from_pydantic(TrainerV1alpha1TrainJob, known), trainer_origin)
    _write(
        "training-runtime", _from_pydantic(TrainerV1alpha1TrainingRuntime, known), trainer_origin
    )
    operator = "cloudcoil-models-prometheus-operator"
    _write(
        "service-monitor",
        _from_pydantic(ServiceMonitor, known),
        f"{operator} {version(operator)} (Apache-2.0)",
    )


def _kubernetes_names() -> dict[str, str]:
    """Return the definitions' names by how the models spell them, long or short."""
    import kubernetes_validate

    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    newest = max(
        folder.glob("*-local-strict"),
        key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)],
    )
    names = json.loads((newest / "_definitions.json").read_text())["$defs"]
    known = {
        "".join(part[:1].upper() + part[1:] for part in name.split(".")): name for name in names
    }
    for group in ("io.k8s.api.core", "io.k8s.apimachinery.pkg.apis.meta", "io.k8s.api.autoscaling"):
        for name in names:
            found = re.fullmatch(re.escape(group) + r"\.(v\d)\.(\w+)", name)
            if found:
                known.setdefault(found[1].upper() + found[2], name)
    return known


def _from_pydantic(model: type[BaseModel], known: dict[str, str]) -> dict[str, Any]:
    schema = _bare(model.model_json_schema(by_alias=True))
    definitions = schema["$defs"]
    for name in definitions:
        if name in known:
            definitions[name] = {"$ref": KUBERNETES + known[name]}
    return _reachable(schema)


def _reachable(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs")
    kept: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        for name in re.findall(r'"#/\$defs/(\w+)"', json.dumps(waiting.pop())):
            if name not in kept:
                kept[name] = definitions[name]
                waiting.append(kept[name])
    return {**schema, "$defs": kept}


def _bare(node: Any) -> Any:
    """Return the schema without prose, and with unknown properties refused."""
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    bare: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            bare[key] = {name: _bare(child) for name, child in value.items()}
        elif key not in ("description", "title", "default"):
            bare[key] = _bare(value)
    if "properties" in bare:
        bare.setdefault("additionalProperties", False)
    return bare


class _KserveModels:
    """KServe's generated classes, read from their source: names, types, what may not be None."""

    def __init__(self, wheel: Path, known: dict[str, str]) -> None:
        self._known = known
        self._sources: dict[str, str] = {}
        with zipfile.ZipFile(wheel) as archive:
            for path in archive.namelist():
                if path.startswith("kserve/models/") and not path.endswith("__init__.py"):
                    source = archive.read(path).decode()
                    for name in re.findall(r"^class (\w+)\(object\)", source, re.MULTILINE):
                        self._sources[name] = source

    def schema(self, name: str) -> dict[str, Any]:
        definitions = {each: self._model(each) for each in self._sources}
        return _reachable({"$ref": f"#/$defs/{name}", "$defs": definitions})

    def _model(self, name: str) -> dict[str, Any]:
        source = self._sources[name]
        types = self._table(source, "openapi_types")
        aliases = self._table(source, "attribute_map")
        properties = {aliases[field]: self._type(kind) for field, kind in types.items()}
        required = [
            aliases[field]
            for field in re.findall(r"client_side_validation and (\w+) is None", source)
        ]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _type(self, kind: str) -> dict[str, Any]:
        if found := re.fullmatch(r"list\[(.+)\]", kind):
            return {"type": "array", "items": self._type(found[1])}
        if found := re.fullmatch(r"dict\(str, (.+)\)", kind):
            return {"type": "object", "additionalProperties": self._type(found[1])}
        if kind in self._sources:
            return {"$ref": f"#/$defs/{kind}"}
        kubernetes = self._known.get(kind) or self._known.get(kind.replace("K8sIo", "IoK8s"))
        if kubernetes:
            return {"$ref": KUBERNETES + kubernetes}
        # A type of a third project (Knative's URL, say): its inside is not checked.
        return PLAIN_TYPES.get(kind, {})

    @staticmethod
    def _table(source: str, name: str) -> dict[str, str]:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
                table: dict[str, str] = ast.literal_eval(node.value)
                return table
        return {}


def _write(name: str, schema: dict[str, Any], origin: str) -> None:
    document = {"$comment": f"Written by vendor.py from {origin}.", **schema}
    (HERE / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
