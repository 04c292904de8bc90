"""A node without a machine: takes Pods as a kubelet does, refuses those whose secrets are missing, and runs nothing."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.external.control_plane import ControlPlane

Object = dict[str, Any]
LOOK_SECONDS = 0.3
HEARTBEAT_LOOKS = 10


@dataclass
class FakeNode:
    """Containers of Jobs end well at the next look, all others are ready at once. Paused, it looks after nothing."""

    plane: ControlPlane
    name: str
    cpu: str
    memory: str
    stopped: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    looking: threading.Lock = field(default_factory=threading.Lock)
    trouble: list[str] = field(default_factory=list)
    address: int = 0

    def register(self) -> None:
        """Says to the server that it is there, and how large."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels}}
        self.plane.create(node, "/api/v1/nodes").raise_for_status()
        self._beat()

    def run(self) -> None:
        """Looks after its Pods until it is stopped."""
        looks = 0
        while not self.stopped.wait(LOOK_SECONDS):
            looks += 1
            with self.looking:
                if not self.paused.is_set():
                    self._look(beats=looks % HEARTBEAT_LOOKS == 0)

    def pause(self) -> None:
        """Looks after nothing once this returns: the look under way is over."""
        with self.looking:
            self.paused.set()

    def die(self) -> None:
        """Is not ready any more, and looks after nothing."""
        self.pause()
        self._beat("False")

    def _look(self, *, beats: bool) -> None:
        try:
            if beats:
                self._beat()
            for pod in self.plane.items("/api/v1/pods", fieldSelector=f"spec.nodeName={self.name}"):
                self._look_after(pod)
        except httpx.HTTPError as error:
            self.trouble.append(str(error))

    def _beat(self, ready: str = "True") -> None:
        size = {"cpu": self.cpu, "memory": self.memory, "pods": "110", "ephemeral-storage": "50Gi"}
        condition = _condition("Ready", ready) | {"lastHeartbeatTime": _now()}
        status = {"status": {"capacity": size, "allocatable": size, "conditions": [condition]}}
        self._patch(f"/api/v1/nodes/{self.name}/status", status)

    def _look_after(self, pod: Object) -> None:
        meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if "deletionTimestamp" in meta:
            self.plane.client.delete(path, params={"gracePeriodSeconds": "0"})
        elif status.get("phase") == "Running" and spec["restartPolicy"] != "Always":
            self._patch(f"{path}/status", {"status": _ended(spec)})
        elif status.get("phase") == "Pending":
            missing = sorted(self._missing(meta["namespace"], spec))
            if not missing:
                self.address += 1
                started = _running(spec, f"10.244.{self.address // 250}.{self.address % 250 + 1}")
                self._patch(f"{path}/status", {"status": started})
            elif status.get("message") != (told := f"missing: {', '.join(missing)}"):
                self._patch(f"{path}/status", {"status": {"message": told}})

    def _missing(self, namespace: str, spec: Object) -> Iterator[str]:
        """Secrets, ConfigMaps and their keys without which a kubelet starts no container."""
        for kind, name, key in references(spec):
            answer = self.plane.client.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                yield f"{kind} {name}"
            elif key is not None and key not in answer.raise_for_status().json().get("data", {}):
                yield f"{kind} {name}: {key}"

    def _patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Status alone; a Pod that is gone by now is nobody's trouble."""
        headers = {"Content-Type": "application/strategic-merge-patch+json"}
        answer = self.plane.client.patch(path, json=body, headers=headers)
        if answer.status_code not in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}:
            answer.raise_for_status()


@contextmanager
def fake_nodes(plane: ControlPlane, sizes: Sequence[tuple[str, str]]) -> Iterator[list[FakeNode]]:
    """Nodes of these sizes (cores, memory), each looked after by a thread of its own."""
    nodes = [FakeNode(plane, f"node-{number}", *size, address=250 * number) for number, size in enumerate(sizes)]
    threads = [threading.Thread(target=node.run, name=node.name) for node in nodes]
    for node, thread in zip(nodes, threads, strict=True):
        node.register()
        thread.start()
    try:
        yield nodes
    finally:
        for node in nodes:
            node.stopped.set()
        for thread in threads:
            thread.join()


def references(spec: Object) -> Iterator[tuple[str, str, str | None]]:
    """What a Pod takes from elsewhere: kind, name and key."""
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for source in container.get("envFrom", ()):
            yield "configmaps", source["configMapRef"]["name"], None
        for value in (each.get("valueFrom", {}) for each in container.get("env", ())):
            if "secretKeyRef" in value:
                yield "secrets", value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            yield "secrets", volume["secret"]["secretName"], None
        if "configMap" in volume:
            yield "configmaps", volume["configMap"]["name"], None


def _running(spec: Object, address: str) -> Object:
    state = {"running": {"startedAt": _now()}}
    return {
        "phase": "Running",
        "message": None,
        "startTime": _now(),
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [_condition(name) for name in ("Initialized", "ContainersReady", "Ready")],
        "containerStatuses": [_container(each, state, ready=True) for each in spec["containers"]],
    }


def _ended(spec: Object) -> Object:
    state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": _now(), "finishedAt": _now()}}
    return {
        "phase": "Succeeded",
        "conditions": [_condition("Ready", "False")],
        "containerStatuses": [_container(each, state, ready=False) for each in spec["containers"]],
    }


def _container(each: Object, state: Object, *, ready: bool) -> Object:
    same = {"name": each["name"], "image": each["image"], "imageID": each["image"], "restartCount": 0}
    return {**same, "ready": ready, "started": ready, "state": state}


def _condition(kind: str, status: str = "True") -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
