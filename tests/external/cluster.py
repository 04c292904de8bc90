"""The overlays at a real Kubernetes API server, its controllers and scheduler, by the commands of deploy/README.md."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import yaml

from tests.deploy.policies import Object
from tests.external.cluster_admission import admitted, overlooked, refused, rights
from tests.external.cluster_release import released
from tests.external.cluster_site import BLOCKS_THAT_RUN, FIRST_BLOCK, Site, blocks_of_the_page
from tests.external.control_plane import (
    definitions_of_cloud_native_pg,
    need_programs_of_kubernetes,
    running_control_plane,
)
from tests.external.manifests import OVERLAYS

LOOKS_MAX = 5
# Cores and memory of the nodes on which an overlay must find room.
NODES: Mapping[str, Sequence[tuple[str, str]]] = {
    "local": [("4", "8Gi")],
    "practice": [("2", "4Gi")],
    "hub": [("4", "8Gi"), ("4", "8Gi")],
}


def run() -> bool:
    """Whether a real server takes the overlays, and releases go as the page says. Raises SkippedError."""
    programs = need_programs_of_kubernetes()
    good = len(blocks_of_the_page()) == len(BLOCKS_THAT_RUN)
    if not good:
        print("deploy/README.md has commands that nobody runs")
    for overlay in OVERLAYS:
        with tempfile.TemporaryDirectory(prefix="stepwell-cluster-") as name:
            started = time.monotonic()
            with running_control_plane(Path(name), programs) as plane:
                against = list(_against(Site(plane, overlay), complete="kube-scheduler" in programs))
            told = f"{time.monotonic() - started:.0f} s{', held' if not against else ''}"
            print(f"{overlay}: {told}", *against, sep="\n  ", flush=True)
            good &= not against
    return good


def _against(site: Site, *, complete: bool) -> Iterator[str]:
    """All that the server says against an overlay, or that goes another way than the page says."""
    site.prepare()
    if site.overlay == "hub":
        _install_types(site)
    rendered = site.shell(f"kubectl kustomize deploy/k8s/overlays/{site.overlay}")
    objects = [each for each in yaml.safe_load_all(rendered) if each]
    yield from _dry_run_by_the_page(site, objects)
    yield from refused(site.plane, objects)
    if site.overlay == "hub":
        yield from (f"overlooked: {each}" for each in overlooked(site.plane, objects))
    site.make_secrets()
    if complete:
        yield from released(site, objects, NODES[site.overlay])
    else:
        print("  NOT RUN: releases. KUBEBUILDER_ASSETS has no controllers and no scheduler")
        site.shell(f"kubectl apply -k deploy/k8s/overlays/{site.overlay}")
    yield from admitted(site.plane, [each for each in objects if each["kind"] in {"Deployment", "StatefulSet", "Job"}])
    yield from rights(site.plane, [each for each in objects if each["kind"] == "ServiceAccount"])
    yield from _changed_by_a_second_time(site)


def _install_types(site: Site) -> None:
    """What the operator of CloudNativePG brings, until the server knows it."""
    definitions = list(definitions_of_cloud_native_pg())
    for each in definitions:
        site.plane.apply(each, dry=False).raise_for_status()
    names = " ".join(f"crd/{each['metadata']['name']}" for each in definitions)
    site.shell(f"kubectl wait --for=condition=established --timeout=60s {names}")


def _dry_run_by_the_page(site: Site, objects: Sequence[Object]) -> Iterator[str]:
    """The first block makes the namespace and a secret, and asks the server about everything."""
    said = site.by_the_page(FIRST_BLOCK)
    if (dry := said.count("(server dry run)")) != len(objects):
        yield f"the dry run of the page is of {dry} objects of {len(objects)}"
    for each in objects:
        kept = site.plane.client.get(site.plane.path_of(each)).status_code != httpx.codes.NOT_FOUND
        if kept != (each["kind"] == "Namespace"):
            yield f"{each['kind']} {each['metadata']['name']} is {'' if kept else 'not '}there after a dry run"


def _changed_by_a_second_time(site: Site) -> Iterator[str]:
    """What another apply of the same changes: nothing, neither kubectl's own way nor on the server's side.

    kubectl says `configured` of whatever it sends; the server counts a version where it is another.
    """
    apply = f"kubectl apply -k deploy/k8s/overlays/{site.overlay}"
    objects = [each for each in yaml.safe_load_all(site.shell(apply.replace("apply -k", "kustomize"))) if each]
    ways: dict[str, Callable[[], object]] = {
        "kubectl": lambda: site.shell(apply),
        "the server": lambda: [site.plane.apply(each, dry=False).raise_for_status() for each in objects],
    }
    for how, again in ways.items():
        again()
        changed: set[str] = set()
        for _ in range(LOOKS_MAX):  # what a controller says of an object in between counts as well
            before = _versions(site, objects)
            again()
            changed = {name for name, version in _versions(site, objects).items() if version != before[name]}
            if not changed:
                break
        yield from (f"applied twice by {how}: {name} is another" for name in sorted(changed))


def _versions(site: Site, objects: Sequence[Object]) -> dict[str, str]:
    return {
        f"{each['kind']} {each['metadata']['name']}": site.plane.get(site.plane.path_of(each))["metadata"][
            "resourceVersion"
        ]
        for each in objects
    }
