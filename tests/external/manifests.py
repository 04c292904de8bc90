"""The manifests of deploy/k8s: rendered, read against the schemas of several Kubernetes, held to our rules."""

import copy
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from tests.clients.install import python_with
from tests.deploy.policies import Object, broken, pod_of
from tests.external.golang import need_go
from tests.external.tools import SkippedError

ROOT = Path(__file__).parents[2]
OVERLAYS = ("local", "practice", "hub")
REQUIREMENTS = Path(__file__).parent / "kubernetes" / "requirements.lock"
BUILD = ROOT / "build" / "kubernetes"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
VERSIONS = ("1.29", "1.31", "1.34", "1.37")
# Whose schemas are their operator's.
FOREIGN = ("postgresql.cnpg.io/v1",)
Plant = Callable[[list[Object]], object]


def run() -> bool:
    """Whether every overlay is what a cluster takes and our rules want, and the rules see planted defects."""
    render = need_kustomize()
    validator = _validator()
    good = True
    for name in OVERLAYS:
        text = render(ROOT / "deploy" / "k8s" / "overlays" / name)
        objects = [each for each in yaml.safe_load_all(text) if each]
        against = [*_refused(validator, objects), *broken(objects)]
        print(f"{name}: {len(objects)} objects{', held' if not against else ''}", *against, sep="\n  ")
        good &= not against
        if name == OVERLAYS[-1]:
            overlooked = [defect for defect, (rule, plant) in DEFECTS.items() if not _seen(objects, rule, plant)]
            print(f"planted defects: {len(DEFECTS)}", *(f"overlooked: {each}" for each in overlooked), sep="\n  ")
            good &= not overlooked
    return good


def need_kustomize() -> Callable[[Path], str]:
    """What renders an overlay: kubectl or kustomize, or kustomize built by Go. Raises SkippedError without any."""
    if shutil.which("kubectl"):
        return lambda folder: _said(["kubectl", "kustomize", str(folder)])
    program = shutil.which("kustomize") or str(BUILD / "bin" / "kustomize")
    if not Path(program).exists():
        go = need_go()
        print(f"go install {KUSTOMIZE} ...", flush=True)
        environment = {**os.environ, "GOBIN": str(BUILD / "bin"), "GOFLAGS": "-mod=mod"}
        done = subprocess.run([go, "install", KUSTOMIZE], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SkippedError(f"kustomize could not be built: {done.stderr[-300:]}")
    return lambda folder: _said([program, "build", str(folder)])


def _validator() -> list[str]:
    return [str(python_with(REQUIREMENTS, BUILD / "venv")), "-m", "kubernetes_validate", "--strict", "--quiet"]


def _refused(validator: Sequence[str], objects: Sequence[Object]) -> list[str]:
    """What the schemas say, and what they do not know that they should."""
    known = [each for each in objects if each["apiVersion"] not in FOREIGN]
    said = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml.safe_dump_all(known))
        file.flush()
        for version in VERSIONS:
            command = [*validator, "--kubernetes-version", version, file.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = (done.stdout + done.stderr).splitlines()
            said += [f"Kubernetes {version}: {line}" for line in lines if line.strip()]
            if done.returncode != 0 and not lines:
                said.append(f"Kubernetes {version}: refused")
    return said


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return done.stdout


def _seen(objects: Sequence[Object], rule: str, plant: Plant) -> bool:
    changed = copy.deepcopy(list(objects))
    plant(changed)
    return any(each.startswith(f"{rule}: ") for each in broken(changed))


def _first(objects: Sequence[Object], kind: str) -> Object:
    return next(each for each in objects if each["kind"] == kind)


def _container(objects: Sequence[Object], kind: str = "Deployment") -> Object:
    container: Object = pod_of(_first(objects, kind))["containers"][0]
    return container


def _env(name: str, value: str) -> Plant:
    return lambda objects: _container(objects)["env"].append({"name": name, "value": value})


DEFECTS: dict[str, tuple[str, Plant]] = {
    "a container that may be root": (
        "restricted",
        lambda o: pod_of(_first(o, "Job"))["securityContext"].pop("runAsNonRoot"),
    ),
    "a capability": ("restricted", lambda o: _container(o)["securityContext"].update(capabilities={"drop": []})),
    "a root that can be written": (
        "restricted",
        lambda o: _container(o)["securityContext"].pop("readOnlyRootFilesystem"),
    ),
    "a token": ("tokens", lambda o: pod_of(_first(o, "Deployment")).pop("automountServiceAccountToken")),
    "no limit": ("resources", lambda o: _container(o)["resources"].pop("limits")),
    "no release": ("resources", lambda o: _container(o).update(image="stepwell-screening:latest")),
    "a setting that does not exist": ("settings", _env("STEPWELL_DRAIN_SECOND", "10")),
    "a setting that is not valid": ("settings", _env("STEPWELL_BODY_BYTES_MAX", "many")),
    "a password in plain sight": ("settings", _env("STEPWELL_LISTEN_URL", "postgresql://me:word@host/x")),
    "a probe that nobody answers": (
        "probes",
        lambda o: _container(o)["readinessProbe"]["httpGet"].update(path="/ready"),
    ),
    "a grace that is too short": (
        "probes",
        lambda o: pod_of(_first(o, "Deployment")).update(terminationGracePeriodSeconds=30),
    ),
    "a drain that ends before anybody has looked": ("probes", _env("STEPWELL_DRAIN_SECONDS", "3")),
    "a dead node that keeps its Pods": ("spreading", lambda o: pod_of(_first(o, "Deployment")).pop("tolerations")),
    "Pods on one node": ("spreading", lambda o: pod_of(_first(o, "Deployment")).pop("topologySpreadConstraints")),
    "no budget": ("disruptions", lambda o: o.pop(o.index(_first(o, "PodDisruptionBudget")))),
    "Pods that a release takes away": ("disruptions", lambda o: _first(o, "Deployment")["spec"].update(replicas=3)),
    "a scaler that scales nothing": (
        "disruptions",
        lambda o: _first(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="other"),
    ),
    "a Service with the Pods of a Job": (
        "addresses",
        lambda o: _first(o, "Service")["spec"]["selector"].pop("stepwell.health/role"),
    ),
    "another host": ("addresses", lambda o: _first(o, "Ingress")["spec"]["rules"][0].update(host="other.example")),
    "no TLS": ("addresses", lambda o: _first(o, "Ingress")["spec"].pop("tls")),
    "no way to the database": (
        "network",
        lambda o: [each["spec"].update(egress=[]) for each in o if each["kind"] == "NetworkPolicy"],
    ),
    "a Pod that is not fenced in": (
        "network",
        lambda o: [o.pop(o.index(each)) for each in list(o) if each["kind"] == "NetworkPolicy"],
    ),
    "more connections than there are": ("connections", _env("STEPWELL_DATABASE_CONNECTIONS_MAX", "400")),
    "no phase": ("phases", lambda o: _first(o, "Job")["metadata"]["labels"].pop("stepwell.health/phase")),
}
