"""Releases at a real Kubernetes by the commands of deploy/README.md, drained and dead nodes; Pods run on fake nodes."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.deploy.policies import Manifests, Object
from tests.external.cluster_site import NAMESPACE, RELEASE_BLOCK, Site
from tests.external.fake_node import FakeNode, fake_nodes

SETTLED_SECONDS_MAX = 120.0
COMPONENT = "app.kubernetes.io/component"
# As PostgreSQL in the cluster wants, and as every cluster has a way to.
STORAGE: Sequence[Object] = (
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "disk"},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "hostPath": {"path": "/disk"},
        },
    },
)


def released(site: Site, objects: Sequence[Object], sizes: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What goes wrong in a first release, a next one, and when nodes go, where there are several."""
    wanted = dict(_wanted(objects))
    for each in STORAGE:
        site.plane.apply(each, dry=False).raise_for_status()
    with fake_nodes(site.plane, sizes) as nodes:
        site.by_the_page(RELEASE_BLOCK)
        yield from _soon(lambda: _unsettled(site, objects, wanted), "after the first release")
        site.name_release("next")
        yield from _rolled(site, wanted)
        yield from _soon(lambda: _unsettled(site, objects, wanted), "after the next release")
        if len(nodes) > 1:
            yield from _on_one_node(site, wanted)
            yield from _drained(site, nodes)
            yield from _soon(lambda: _unsettled(site, objects, wanted), "after a drain")
            yield from _dead(site, nodes, wanted)
        yield from (f"{node.name}: {each}" for node in nodes for each in node.trouble)


def _wanted(objects: Sequence[Object]) -> Iterator[tuple[str, int]]:
    """Each service with the fewest Pods that it may have."""
    manifests = Manifests(objects)
    for each in manifests.of("Deployment"):
        yield each["metadata"]["labels"][COMPONENT], manifests.replicas(each)[0]


def _soon(look: Callable[[], Sequence[str]], when: str) -> Iterator[str]:
    """What is said at every look until the time is over; nothing once nothing is said."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while said := look():
        if time.monotonic() > deadline:
            yield from (f"{when}: {each}" for each in said)
            return
        time.sleep(0.3)


def _ready_pods(site: Site) -> list[Object]:
    """Pods of services that get requests: ready, and not told to stop."""
    pods = site.listed("pods", labelSelector="stepwell.health/role=service")
    return [each for each in pods if "deletionTimestamp" not in each["metadata"] and _is(each, "Ready")]


def _is(each: Object, condition: str) -> bool:
    conditions = each.get("status", {}).get("conditions", ())
    return any(c["type"] == condition and c["status"] == "True" for c in conditions)


def _by_service(pods: Sequence[Object]) -> Counter[str]:
    return Counter(pod["metadata"]["labels"][COMPONENT] for pod in pods)


def _unsettled(site: Site, objects: Sequence[Object], wanted: Mapping[str, int]) -> list[str]:
    """What the controllers have not brought about yet."""
    pods = _ready_pods(site)
    said = [f"{_by_service(pods)} ready"] if _by_service(pods) != wanted else []
    images = {each["spec"]["containers"][0]["image"].rpartition(":")[2] for each in pods}
    said += [f"images of {images}"] if len(images) > 1 else []
    jobs = site.listed("jobs", "apis/batch/v1")
    said += [f"Job {each['metadata']['name']} is not complete" for each in jobs if not _is(each, "Complete")]
    if len(jobs) != len(Manifests(objects).of("Job")):
        said.append(f"{len(jobs)} Jobs")
    databases = site.listed("statefulsets", "apis/apps/v1")
    said += ["no database" for each in databases if each["status"].get("readyReplicas") != each["spec"]["replicas"]]
    for budget in site.listed("poddisruptionbudgets", "apis/policy/v1"):
        service = budget["metadata"]["labels"][COMPONENT]
        status = budget["status"]
        if (status["expectedPods"], status["disruptionsAllowed"]) != (wanted[service], 1):
            said.append(f"the budget of {service} is {status}")
    return [*said, *_unreachable(site, pods)]


def _unreachable(site: Site, pods: Sequence[Object]) -> Iterator[str]:
    """Services whose addresses are not those of their ready Pods alone."""
    for service in sorted(_by_service(pods)):
        slices = site.listed(
            "endpointslices", "apis/discovery.k8s.io/v1", labelSelector=f"kubernetes.io/service-name=stepwell-{service}"
        )
        ends = [end for each in slices for end in each["endpoints"] or () if end["conditions"]["ready"]]
        own = {pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"][COMPONENT] == service}
        if {end["targetRef"]["name"] for end in ends} != own:
            yield f"the Service of {service} leads elsewhere"


def _rolled(site: Site, wanted: Mapping[str, int]) -> Iterator[str]:
    """Runs a release; while it goes, no service may have fewer Pods that are ready than it should."""
    fewest = Counter(wanted)
    with ThreadPoolExecutor(1) as threads:
        release = threads.submit(site.by_the_page, RELEASE_BLOCK)
        while not release.done():
            ready = _by_service(_ready_pods(site))
            for service in wanted:
                fewest[service] = min(fewest[service], ready[service])
            time.sleep(0.05)
        release.result()
    yield from (f"{s} had {fewest[s]} ready Pods while it rolled" for s in wanted if fewest[s] < wanted[s])


def _on_one_node(site: Site, wanted: Mapping[str, int]) -> Iterator[str]:
    for service in wanted:
        pods = [each for each in _ready_pods(site) if each["metadata"]["labels"][COMPONENT] == service]
        if len({each["spec"]["nodeName"] for each in pods}) < 2:
            yield f"all Pods of {service} are on one node"


def _drained(site: Site, nodes: Sequence[FakeNode]) -> Iterator[str]:
    """One Pod of each service may be evicted, and no second one before another is there."""
    for node in nodes:
        node.pause()
    answers: dict[str, list[int]] = {}
    for pod in _ready_pods(site):
        meta = pod["metadata"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta["name"]}}
        answer = site.plane.create(body, f"/api/v1/namespaces/{NAMESPACE}/pods/{meta['name']}/eviction")
        answers.setdefault(meta["labels"][COMPONENT], []).append(answer.status_code)
    for service, codes in answers.items():
        if codes != [httpx.codes.CREATED, *[httpx.codes.TOO_MANY_REQUESTS] * (len(codes) - 1)]:
            yield f"evictions of {service} were answered {codes}"
    for node in nodes:
        node.paused.clear()


def _dead(site: Site, nodes: Sequence[FakeNode], wanted: Mapping[str, int]) -> Iterator[str]:
    """Pods of a node that is not ready start elsewhere, and soon: without our tolerations it would be five minutes."""
    started = time.monotonic()
    nodes[-1].die()

    def elsewhere() -> list[str]:
        there = [each for each in _ready_pods(site) if each["spec"]["nodeName"] != nodes[-1].name]
        return [] if _by_service(there) == wanted else [f"{_by_service(there)} ready on the other nodes"]

    yield from _soon(elsewhere, "after a node died")
    print(f"  Pods of a dead node were elsewhere after {time.monotonic() - started:.0f} s")
