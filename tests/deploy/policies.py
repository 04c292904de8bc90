"""What manifests must be beyond their schema: rules over the objects that a cluster is sent."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import SettingsError
from stepwell_shared.cli.access import AccessSettings
from stepwell_shared.connections import STOP_SECONDS_MAX
from stepwell_shared.settings import SERVICES, MigrationSettings, Settings

Object = dict[str, Any]
Rule = Callable[["Manifests"], Iterator[str]]

KNOWN = {"STEPWELL_SERVICE"} | {
    f"STEPWELL_{name.upper()}" for model in (Settings, MigrationSettings, AccessSettings) for name in model.model_fields
}
SECRET = ("DATABASE_URL", "LISTEN_URL", "PASSWORD")
PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
PORTS = {"http": 80, "https": 443, "postgresql": 5432}
DEAD_NODE_SECONDS_MAX = 30
CLOSING_SECONDS = 10
"""What a process may take to close what it has, after the last request: deliveries under way, connections."""
OTHER_CONNECTIONS = 2
"""Of a process beside its pool: it listens, and takes leases."""


@dataclass(frozen=True)
class Manifests:
    """All objects of an overlay."""

    objects: Sequence[Object]

    def of(self, *kinds: str) -> list[Object]:
        """The objects of these kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        """One object."""
        return next((each for each in self.of(kind) if each["metadata"]["name"] == name), None)

    @cached_property
    def workloads(self) -> list[Object]:
        """Whatever makes Pods."""
        return self.of("Deployment", "StatefulSet", "Job")

    def environment(self, workload: Object, container: Object) -> dict[str, Any]:
        """Variables with their values; a reference to a secret as it stands."""
        found: dict[str, Any] = {}
        for source in container.get("envFrom", ()):
            settings = self.named("ConfigMap", source["configMapRef"]["name"])
            found |= settings["data"] if settings else {"missing": source}
        return found | {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", ())}

    def replicas(self, deployment: Object) -> tuple[int, int]:
        """Fewest and most Pods of a Deployment."""
        scaler = self.named("HorizontalPodAutoscaler", deployment["metadata"]["name"])
        fixed = deployment["spec"].get("replicas", 1)
        return (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) if scaler else (fixed, fixed)


def broken(objects: Sequence[Object]) -> list[str]:
    """Everything that is wrong, by rule."""
    manifests = Manifests(objects)
    return [f"{name}: {said}" for name, rule in RULES.items() for said in rule(manifests)]


def pod_of(workload: Object) -> Object:
    """What its Pods are."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers_of(workload: Object) -> list[Object]:
    """All containers of its Pods, those that run first too."""
    pod = pod_of(workload)
    return [*pod.get("initContainers", ()), *pod["containers"]]


def place(workload: Object) -> str:
    """How a workload is named in a finding."""
    return f"{workload['kind']} {workload['metadata']['name']}"


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector is of these labels; meta/v1 LabelSelector, as far as we use it."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ()))


def labels_of(workload: Object) -> dict[str, str]:
    """The labels of its Pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def restricted(manifests: Manifests) -> Iterator[str]:
    """The profile `restricted` of the Pod Security Standards, and a root that cannot be written."""
    for workload in manifests.workloads:
        pod = pod_of(workload)
        security = pod.get("securityContext", {})
        if not (security.get("runAsNonRoot") and security.get("runAsUser", 0) > 0):
            yield f"{place(workload)} may run as root"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{place(workload)} has no seccomp profile"
        if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{place(workload)} shares what is the host's"
        if any("hostPath" in each for each in pod.get("volumes", ())):
            yield f"{place(workload)} mounts a folder of the host"
        for container in containers_of(workload):
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{place(workload)}: {container['name']} may win rights"
            if own.get("capabilities", {}) != {"drop": ["ALL"]}:
                yield f"{place(workload)}: {container['name']} keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{place(workload)}: {container['name']} can write its root"


def tokens(manifests: Manifests) -> Iterator[str]:
    """Nobody holds a token for Kubernetes, and each account is there."""
    for account in manifests.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{account['metadata']['name']} mounts its token"
    for workload in manifests.workloads:
        pod = pod_of(workload)
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{place(workload)} mounts a token"
        if manifests.named("ServiceAccount", pod.get("serviceAccountName", "default")) is None:
            yield f"{place(workload)} runs as an account that is not there"


def resources(manifests: Manifests) -> Iterator[str]:
    """Every container asks for what it needs and has a limit; images are of one release."""
    for workload in manifests.workloads:
        for container in containers_of(workload):
            given = container.get("resources", {})
            for part in ("requests", "limits"):
                if set(given.get(part, {})) < {"cpu", "memory"}:
                    yield f"{place(workload)}: {container['name']} has no {part}"
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            if tag in {"", "latest"}:
                yield f"{place(workload)}: {container['image']} is no release"


def settings(manifests: Manifests) -> Iterator[str]:
    """Variables exist in the settings, what is needed is given and valid, secrets stand nowhere."""
    if manifests.of("Secret"):
        yield "a Secret is among the manifests"
    for workload in manifests.workloads:
        for container in containers_of(workload):
            given = manifests.environment(workload, container)
            for name, value in given.items():
                ours = workload["kind"] != "StatefulSet"
                if ours and name not in KNOWN:
                    yield f"{place(workload)}: no setting is called {name}"
                if name.endswith(SECRET) and not (isinstance(value, dict) and "secretKeyRef" in value):
                    yield f"{place(workload)}: {name} is no reference to a secret"
    for deployment in manifests.of("Deployment"):
        for container in containers_of(deployment):
            yield from (
                f"{place(deployment)}: {each}" for each in refused(manifests.environment(deployment, container))
            )


def refused(environment: Mapping[str, Any]) -> list[str]:
    """What the settings say of an environment, with some value for what a secret holds."""
    values = {name: value if isinstance(value, str) else "postgresql://secret" for name, value in environment.items()}
    with patch.dict(os.environ, values, clear=True):
        try:
            Settings()  # type: ignore[call-arg]  # the environment fills it
        except ValidationError as error:
            return [f"{each['loc'][0]}: {each['msg']}" for each in error.errors()]
        except SettingsError as error:
            return [str(error)]
    return []


def probes(manifests: Manifests) -> Iterator[str]:
    """Each service is looked at where it answers, by a port that it names; grace is longer than the longest request."""
    for deployment in manifests.of("Deployment"):
        pod = pod_of(deployment)
        for container in pod["containers"]:
            ports = {each.get("name") for each in container.get("ports", ())}
            for kind, path in PROBES.items():
                asked = container.get(kind, {}).get("httpGet", {})
                if asked.get("path") != path or asked.get("port") not in ports:
                    yield f"{place(deployment)}: {kind} asks {asked}"
            drain = float(manifests.environment(deployment, container).get("STEPWELL_DRAIN_SECONDS", 0))
            seen = container.get("readinessProbe", {})
            unseen = seen.get("periodSeconds", 10) * seen.get("failureThreshold", 3)
            if drain <= unseen:
                yield f"{place(deployment)}: drains for {drain:g} s, and is taken for ready for {unseen} s"
            if pod.get("terminationGracePeriodSeconds", 30) < drain + STOP_SECONDS_MAX + CLOSING_SECONDS:
                yield f"{place(deployment)}: is killed before its longest request is over"
        rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0:
            yield f"{place(deployment)}: rolls with fewer Pods than there should be"


def spreading(manifests: Manifests) -> Iterator[str]:
    """Pods leave a dead node soon, and are not all on one."""
    for deployment in manifests.of("Deployment"):
        pod = pod_of(deployment)
        left = {each["key"].rpartition("/")[2]: each.get("tolerationSeconds") for each in pod.get("tolerations", ())}
        for state in ("not-ready", "unreachable"):
            if not 0 < (left.get(state) or 300) <= DEAD_NODE_SECONDS_MAX:
                yield f"{place(deployment)}: stays on a node that is {state}"
        spread = [
            each
            for each in pod.get("topologySpreadConstraints", ())
            if each["topologyKey"] == "kubernetes.io/hostname" and selects(each["labelSelector"], labels_of(deployment))
        ]
        if not spread:
            yield f"{place(deployment)}: all Pods may be on one node"


def disruptions(manifests: Manifests) -> Iterator[str]:
    """Where there are several Pods, one at a time may go, and scaling stays within what is declared."""
    for deployment in manifests.of("Deployment"):
        fewest, _ = manifests.replicas(deployment)
        budgets = [
            b for b in manifests.of("PodDisruptionBudget") if selects(b["spec"]["selector"], labels_of(deployment))
        ]
        if fewest > 1 and [each["spec"].get("maxUnavailable") for each in budgets] != [1]:
            yield f"{place(deployment)}: a drained node may take all Pods"
        if fewest == 1 and budgets:
            yield f"{place(deployment)}: the one Pod keeps its node from being emptied"
        scaled = manifests.named("HorizontalPodAutoscaler", deployment["metadata"]["name"]) is not None
        if scaled and "replicas" in deployment["spec"]:
            yield f"{place(deployment)}: every release sets back what the scaler decided"
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if manifests.named(target["kind"], target["name"]) is None:
            yield f"{scaler['metadata']['name']} scales {target['name']}, which is not there"


def addresses(manifests: Manifests) -> Iterator[str]:
    """A Service is its service's Pods alone; one host leads to all four, which call themselves by it."""
    for service in manifests.of("Service"):
        chosen = {"matchLabels": service["spec"]["selector"]}
        behind = [each for each in manifests.workloads if selects(chosen, labels_of(each))]
        if [each["metadata"]["name"] for each in behind] != [service["metadata"]["name"]]:
            yield f"Service {service['metadata']['name']} is {[place(each) for each in behind]}"
        named = {port["name"] for each in behind for box in containers_of(each) for port in box.get("ports", ())}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in named or port.get("protocol") != "TCP":
                yield f"Service {service['metadata']['name']} has no Pod's port {port}"
    ingresses = manifests.of("Ingress")
    if len(ingresses) != 1:
        yield f"{len(ingresses)} ingresses"
    for ingress in ingresses:
        yield from _routes(manifests, ingress)


def _routes(manifests: Manifests, ingress: Object) -> Iterator[str]:
    (rule,) = ingress["spec"]["rules"]
    routed = {each["path"]: each["backend"]["service"]["name"] for each in rule["http"]["paths"]}
    if routed != {f"/{name}": f"stepwell-{name}" for name in SERVICES}:
        yield f"the ingress routes {routed}"
    secure = {host for each in ingress["spec"].get("tls", ()) for host in each["hosts"]}
    for given in (each["data"] for each in manifests.of("ConfigMap") if "STEPWELL_SCREENING_URL" in each["data"]):
        for name in (*SERVICES, "issuer"):
            url = urlsplit(given[f"STEPWELL_{name.upper()}_URL"])
            base = "/screening/auth" if name == "issuer" else f"/{name}/fhir"
            if url.netloc != rule["host"] or url.path != base:
                yield f"{name} calls itself {url.geturl()}, and the host is {rule['host']}"
            if (url.scheme == "https") != (url.netloc in secure):
                yield f"{name} calls itself {url.geturl()}, and TLS is for {sorted(secure)}"


def network(manifests: Manifests) -> Iterator[str]:
    """Every Pod is fenced in, and lets out what its settings need."""
    policies = manifests.of("NetworkPolicy")
    for workload in manifests.workloads:
        mine = [each["spec"] for each in policies if selects(each["spec"]["podSelector"], labels_of(workload))]
        if {kind for each in mine for kind in each["policyTypes"]} != {"Ingress", "Egress"}:
            yield f"{place(workload)} is not fenced in"
        if workload["kind"] == "StatefulSet":
            continue
        out = {port["port"] for each in mine for way in each["egress"] for port in way["ports"]}
        needed = {53, 5432}
        for container in containers_of(workload) if workload["kind"] == "Deployment" else ():
            for value in manifests.environment(workload, container).values():
                url = urlsplit(value) if isinstance(value, str) and "://" in value else None
                if url is not None and url.scheme:
                    needed.add(url.port or PORTS.get(url.scheme, 0))
        if missing := needed - out:
            yield f"{place(workload)} is not let out to {sorted(missing)}"
    for policy in policies:
        for way in (*policy["spec"].get("egress", ()), *policy["spec"].get("ingress", ())):
            if any("protocol" not in port for port in way["ports"]):
                yield f"{policy['metadata']['name']} leaves out a protocol"


def connections(manifests: Manifests) -> Iterator[str]:
    """All Pods, with one more each while they roll, fit into the database."""
    wanted = 0
    for deployment in manifests.of("Deployment"):
        for container in containers_of(deployment):
            given = manifests.environment(deployment, container).get("STEPWELL_DATABASE_CONNECTIONS_MAX")
            pool = int(given or Settings.model_fields["database_connections_max"].default)
            wanted += (manifests.replicas(deployment)[1] + 1) * (pool + OTHER_CONNECTIONS)
    for database in manifests.of("StatefulSet", "Cluster"):
        allowed = database["spec"].get("postgresql", {}).get("parameters", {}).get("max_connections")
        if allowed is None:
            (option,) = [each for each in containers_of(database)[0]["args"] if each.startswith("max_connections=")]
            allowed = option.partition("=")[2]
        if wanted > int(allowed) - 10:
            yield f"{place(database)} lets {allowed} connections in, and {wanted} may come"


def phase_of(each: Object) -> str | None:
    """The step of a release to which an object belongs."""
    phase: str | None = each["metadata"].get("labels", {}).get("stepwell.health/phase")
    return phase


def phases(manifests: Manifests) -> Iterator[str]:
    """Everything belongs to one step of a release; a Job before needs nothing that comes later."""
    for each in manifests.objects:
        if phase_of(each) not in {"before", "run", "after"}:
            yield f"{each['kind']} {each['metadata']['name']} is of no phase"
    early = [each for each in manifests.objects if phase_of(each) == "before"]
    for job in Manifests(early).of("Job"):
        if Manifests(early).named("ServiceAccount", pod_of(job)["serviceAccountName"]) is None:
            yield f"{place(job)} waits for its account"


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(restricted, tokens, resources, settings, probes, spreading),
        *(disruptions, addresses, network, connections, phases),
    )
}
