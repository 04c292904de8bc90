"""A Kubernetes without machines, as plain processes on loopback: etcd, API server, controllers and scheduler.

Programs are those of KUBEBUILDER_ASSETS where it is set, as for envtest, or Go builds them from `cluster/`; etcd comes
as Debian's package.
"""

import json
import os
import secrets
import shlex
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from stepwell_shared.cli.processes import free_port

from tests.clients.install import once
from tests.external.golang import need_go
from tests.external.tools import SkippedError, need_programs

ROOT = Path(__file__).parents[2]
SOURCES = Path(__file__).parent / "cluster"
PROGRAM = ROOT / "build" / "kubernetes" / "bin" / "cluster"
PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
# CloudNativePG's definitions of its types, of the version whose fields deploy/k8s uses.
CLOUD_NATIVE_PG = "github.com/cloudnative-pg/cloudnative-pg@v1.27.0"
# As little work for the compiler as can be, a third less: the program runs for two minutes.
BUILD_OPTIONS = ("-trimpath", "-ldflags=-s -w", "-gcflags=all=-N -l -dwarf=false")
READY_SECONDS_MAX = 120.0
SCRIPT_SECONDS_MAX = 240
CONTROLLERS = (
    *("deployment-controller", "replicaset-controller", "statefulset-controller", "job-controller"),
    *("disruption-controller", "horizontal-pod-autoscaler-controller", "endpointslice-controller"),
    *("garbage-collector-controller", "serviceaccount-controller", "persistentvolume-binder-controller"),
    *("node-lifecycle-controller", "taint-eviction-controller"),
)


@dataclass(frozen=True)
class ControlPlane:
    """Where its files are, and how to reach it as its administrator."""

    folder: Path
    port: int = field(default_factory=free_port)
    etcd_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """Made by the server itself when it starts."""
        return self.folder / "apiserver.crt"

    @cached_property
    def client(self) -> httpx.Client:
        """Plain HTTP, for what kubectl does not say: status codes, warnings, dry runs as somebody else."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, verify=trust, timeout=30, trust_env=False)

    def get(self, path: str, **query: str) -> Any:
        """One object or a list. Raises httpx.HTTPStatusError."""
        return self.client.get(path, params=query).raise_for_status().json()

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """What a list holds."""
        found: list[dict[str, Any]] = self.get(path, **query)["items"]
        return found

    def path_of(self, each: Mapping[str, Any]) -> str:
        """Where an object is; by what the server says of its type."""
        meta, group = each["metadata"], each["apiVersion"]
        base = f"/apis/{group}" if "/" in group else f"/api/{group}"
        (kind,) = [k for k in self.get(base)["resources"] if k["kind"] == each["kind"] and "/" not in k["name"]]
        place = f"/namespaces/{meta['namespace']}" if kind["namespaced"] else ""
        return f"{base}{place}/{kind['name']}/{meta['name']}"

    def apply(self, each: Mapping[str, Any], *, dry: bool) -> httpx.Response:
        """Server-side apply of one object; unknown fields are refused. Without a dry run it takes fields over."""
        manner = {"dryRun": "All"} if dry else {"force": "true"}
        query = {"fieldManager": "check", "fieldValidation": "Strict", **manner}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        return self.client.patch(self.path_of(each), params=query, headers=headers, content=json.dumps(each))

    def create(self, each: Mapping[str, Any], path: str, **query: str) -> httpx.Response:
        """What is posted to a collection; unknown fields are refused."""
        return self.client.post(path, params={"fieldValidation": "Strict", **query}, json=each)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs commands of a page in the folder, where kubectl and stepwell are; the first that fails ends it."""
        variables = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.folder),
            "PATH": f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        command = ["timeout", str(SCRIPT_SECONDS_MAX), "bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)


def need_programs_of_kubernetes() -> Mapping[str, list[str]]:
    """How to start each part; those that an envtest does not have are left out. Raises SkippedError."""
    if "KUBEBUILDER_ASSETS" in os.environ:
        assets = Path(os.environ["KUBEBUILDER_ASSETS"])
        found = {name: [str(assets / name)] for name in (*PARTS, "etcd") if (assets / name).exists()}
        if missing := {"kube-apiserver", "kubectl", "etcd"} - found.keys():
            raise SkippedError(f"KUBEBUILDER_ASSETS has no {', '.join(sorted(missing))}")
        return found
    need_programs("etcd", ("etcd-server",), ("etcd",))
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    build = ["env", "CGO_ENABLED=0", need_go(), "build", *BUILD_OPTIONS, "-o", str(PROGRAM), "."]
    once(PROGRAM.with_suffix(".built"), SOURCES / "go.sum", build, SOURCES)
    return {"etcd": ["etcd"], **{name: [str(PROGRAM), name] for name in PARTS}}


def definitions_of_cloud_native_pg() -> Iterator[dict[str, Any]]:
    """The CustomResourceDefinitions that its operator installs. Raises SkippedError without a way to them."""
    done = subprocess.run(
        [need_go(), "mod", "download", "-json", CLOUD_NATIVE_PG], capture_output=True, text=True, check=False
    )
    said = json.loads(done.stdout or "{}")
    if "Dir" not in said:
        raise SkippedError(f"CloudNativePG's types could not be had: {said.get('Error', done.stderr[-300:])}")
    for name in ("clusters", "databases"):
        yield yaml.safe_load((Path(said["Dir"]) / f"config/crd/bases/postgresql.cnpg.io_{name}.yaml").read_text())


@contextmanager
def running_control_plane(folder: Path, programs: Mapping[str, Sequence[str]]) -> Iterator[ControlPlane]:
    """Its data goes to `folder`. Controllers and scheduler run where there are programs for them."""
    plane = ControlPlane(folder)
    _write_files(plane, programs["kubectl"])
    with ExitStack() as stack:
        for name, options in _options(plane).items():
            if name in programs:
                stack.enter_context(_process(plane, name, [*programs[name], *options]))
            if name == "kube-apiserver":
                _wait_until_ready(plane)
                stack.callback(plane.client.close)
        yield plane


def _write_files(plane: ControlPlane, kubectl: Sequence[str]) -> None:
    """The key that signs tokens of accounts, the administrator's token, what kubectl reads, and a kubectl to call."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (plane.folder / "accounts.key").write_bytes(key.private_bytes(*private))
    (plane.folder / "tokens.csv").write_text(f"{plane.token},admin,admin,system:masters\n")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "check", "cluster": {"server": plane.url, "certificate-authority": str(plane.certificate)}}
        ],
        "users": [{"name": "admin", "user": {"token": plane.token}}],
        "contexts": [{"name": "check", "context": {"cluster": "check", "user": "admin"}}],
        "current-context": "check",
    }
    plane.kubeconfig.write_text(yaml.safe_dump(config))
    script = plane.folder / "kubectl"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(kubectl)} "$@"\n')
    script.chmod(0o755)


def _options(plane: ControlPlane) -> dict[str, list[str]]:
    """By program, in the order in which they start."""
    etcd, peer = (f"http://127.0.0.1:{port}" for port in (plane.etcd_port, plane.peer_port))
    key = plane.folder / "accounts.key"
    return {
        "etcd": [
            *(f"--data-dir={plane.folder / 'etcd'}", f"--initial-cluster=default={peer}"),
            *(f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        ],
        "kube-apiserver": [
            *(f"--etcd-servers={etcd}", f"--secure-port={plane.port}", "--bind-address=127.0.0.1"),
            *(f"--cert-dir={plane.folder}", f"--token-auth-file={plane.folder / 'tokens.csv'}"),
            *("--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"),
            *("--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}"),
            f"--service-account-signing-key-file={key}",
        ],
        "kube-controller-manager": [
            *(f"--kubeconfig={plane.kubeconfig}", "--leader-elect=false", "--secure-port=0"),
            *(f"--controllers={','.join(CONTROLLERS)}", "--horizontal-pod-autoscaler-sync-period=1s"),
        ],
        "kube-scheduler": [f"--kubeconfig={plane.kubeconfig}", "--leader-elect=false", "--secure-port=0"],
    }


@contextmanager
def _process(plane: ControlPlane, name: str, command: Sequence[str]) -> Iterator[None]:
    with (plane.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(plane: ControlPlane) -> None:
    """Raises RuntimeError with the end of the server's log when it does not come."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            if plane.certificate.exists() and plane.client.get("/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError((plane.folder / "kube-apiserver.log").read_text()[-2000:])
