"""What a real API server says of the overlays' objects before it keeps them: schemas, admission, rights."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import httpx

from tests.deploy.policies import Object, labels_of, place, pod_of
from tests.external.control_plane import ControlPlane

ACCOUNTS = "/apis/authorization.k8s.io/v1"
# What a Pod that was taken over would try first.
WANTED = (
    ("get", "", "secrets"),
    ("list", "", "pods"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("patch", "apps", "deployments"),
    ("create", "", "serviceaccounts/token"),
    ("get", "", "nodes"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
)
Plant = Callable[[Object], object]


def refused(plane: ControlPlane, objects: Sequence[Object]) -> Iterator[str]:
    """What the server would not take, or takes with a warning. Their namespace must be there."""
    for each in objects:
        answer = plane.apply(each, dry=True)
        if answer.is_error or "warning" in answer.headers:
            yield f"{each['kind']} {each['metadata']['name']}: {_said(answer)}"


def overlooked(plane: ControlPlane, objects: Sequence[Object]) -> Iterator[str]:
    """Planted defects that the server would take, or refuses for another reason than their own."""
    for defect, (kind, reason, plant) in DEFECTS.items():
        for each in (each for each in objects if each["kind"] == kind):
            changed = copy.deepcopy(each)
            plant(changed)
            answer = plane.apply(changed, dry=True)
            if not answer.is_error or reason not in answer.text:
                yield f"{defect} in {kind} {each['metadata']['name']}: {_said(answer)}"


def admitted(plane: ControlPlane, workloads: Sequence[Object]) -> Iterator[str]:
    """Where the namespace's profile `restricted` refuses a Pod of ours, takes a worse one, or gives one a token."""
    for workload in workloads:
        answer = _pod(plane, workload, lambda pod: pod)
        if answer.is_error or "warning" in answer.headers:
            yield f"a Pod of {place(workload)}: {_said(answer)}"
            continue
        if "serviceAccountToken" in answer.text:
            yield f"a Pod of {place(workload)} gets a token"
        for worse, plant in WORSE.items():
            answer = _pod(plane, workload, plant)
            if answer.status_code != httpx.codes.FORBIDDEN or "restricted" not in answer.text:
                yield f"a Pod of {place(workload)} that {worse}: {_said(answer)}"


def _pod(plane: ControlPlane, workload: Object, plant: Plant) -> httpx.Response:
    spec = copy.deepcopy(pod_of(workload))
    for claim in workload["spec"].get("volumeClaimTemplates", ()):  # as the controller of StatefulSets does
        name = claim["metadata"]["name"]
        spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": name}})
    plant(spec)
    meta = {"generateName": "check-", "namespace": workload["metadata"]["namespace"], "labels": labels_of(workload)}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    return plane.create(pod, f"/api/v1/namespaces/{meta['namespace']}/pods", dryRun="All")


def rights(plane: ControlPlane, accounts: Sequence[Object]) -> Iterator[str]:
    """What the accounts of Pods may do beyond what anybody with a token may: nothing."""
    anybody = _rules(plane, "default", "anybody")
    for account in accounts:
        namespace, name = account["metadata"]["namespace"], account["metadata"]["name"]
        if (more := _rules(plane, namespace, name)) != anybody:
            yield f"ServiceAccount {name} may {sorted(more - anybody)}"
        for verb, group, resource in WANTED:
            if _may(plane, {"Impersonate-User": _user(namespace, name)}, namespace, verb, group, resource):
                yield f"ServiceAccount {name} may {verb} {resource}"
    if not _may(plane, {}, "default", *WANTED[0]):
        yield "the server refuses everything to everybody: it shows nothing"


def _user(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def _may(plane: ControlPlane, whom: Mapping[str, str], namespace: str, verb: str, group: str, resource: str) -> bool:
    name, _, part = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": part}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    body = {**review, "spec": {"resourceAttributes": asked}}
    answer = plane.client.post(f"{ACCOUNTS}/selfsubjectaccessreviews", json=body, headers=dict(whom))
    return bool(answer.raise_for_status().json()["status"]["allowed"])


def _rules(plane: ControlPlane, namespace: str, name: str) -> set[str]:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    headers = {"Impersonate-User": _user(namespace, name)}
    body = {**review, "spec": {"namespace": namespace}}
    answer = plane.client.post(f"{ACCOUNTS}/selfsubjectrulesreviews", json=body, headers=headers)
    status = answer.raise_for_status().json()["status"]
    return {str(rule) for part in ("resourceRules", "nonResourceRules") for rule in status[part]}


def _said(answer: httpx.Response) -> str:
    warning = answer.headers.get("warning", "")
    return f"{answer.status_code} {warning or (answer.json().get('message', '') if answer.is_error else 'taken')}"


WORSE: Mapping[str, Plant] = {
    "may win rights": lambda pod: pod["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
    "is privileged": lambda pod: pod["containers"][0].update(securityContext={"privileged": True}),
    "may be root": lambda pod: pod["securityContext"].pop("runAsNonRoot"),
    "keeps capabilities": lambda pod: pod["containers"][0]["securityContext"].pop("capabilities"),
    "has no seccomp profile": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "is in the network of its host": lambda pod: pod.update(hostNetwork=True),
    "mounts a folder of its host": lambda pod: pod.setdefault("volumes", []).append(
        {"name": "host", "hostPath": {"path": "/"}}
    ),
}
# By kind and the words with which the server refuses.
DEFECTS: Mapping[str, tuple[str, str, Plant]] = {
    "a field that does not exist": (
        "Deployment",
        "field not declared in schema",
        lambda o: pod_of(o)["containers"][0].update(readynessProbe={}),
    ),
    "a quantity that is none": (
        "Deployment",
        "quantities must match",
        lambda o: pod_of(o)["containers"][0]["resources"]["limits"].update(memory="512MB"),
    ),
    "a volume that is not there": (
        "Deployment",
        "volumeMounts[0].name",
        lambda o: pod_of(o)["containers"][0]["volumeMounts"][0].update(name="other"),
    ),
    "a selector of other Pods": (
        "Deployment",
        "`selector` does not match template `labels`",
        lambda o: o["spec"]["selector"]["matchLabels"].update({"stepwell.health/role": "other"}),
    ),
    "a Job whose Pods start for ever": (
        "Job",
        "restartPolicy",
        lambda o: pod_of(o).update(restartPolicy="Always"),
    ),
    "more Pods at least than at most": (
        "HorizontalPodAutoscaler",
        "minReplicas",
        lambda o: o["spec"].update(minReplicas=o["spec"]["maxReplicas"] + 1),
    ),
    "a budget of two minds": (
        "PodDisruptionBudget",
        "minAvailable and maxUnavailable cannot be both set",
        lambda o: o["spec"].update(minAvailable=1),
    ),
    "a network that is none": (
        "NetworkPolicy",
        "ipBlock",
        lambda o: o["spec"].setdefault("ingress", []).append({"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}),
    ),
    "a host that is none": (
        "Ingress",
        "spec.rules[0].host",
        lambda o: o["spec"]["rules"][0].update(host="Stepwell_Host"),
    ),
    "a path without a slash": (
        "Ingress",
        "must be an absolute path",
        lambda o: o["spec"]["rules"][0]["http"]["paths"][0].update(path="screening"),
    ),
    "a port that no Pod can name": (
        "Service",
        "must be no more than 15 characters",
        lambda o: o["spec"]["ports"][0].update(targetPort="longer-than-names-are"),
    ),
    "a database of no copies": ("Cluster", "spec.instances", lambda o: o["spec"].update(instances=0)),
    "an answered write on how many?": (
        "Cluster",
        "spec.postgresql.synchronous.method",
        lambda o: o["spec"]["postgresql"]["synchronous"].update(method="some"),
    ),
    "a database's owner that is not said": ("Database", "spec.owner", lambda o: o["spec"].pop("owner")),
    "a database that is PostgreSQL's own": ("Database", "reserved", lambda o: o["spec"].update(name="postgres")),
}
