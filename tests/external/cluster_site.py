"""A site that runs Stepwell in Kubernetes by deploy/README.md: its copy of the manifests, its secrets, its commands."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stepwell_shared.settings import SERVICES

from tests.external.control_plane import ROOT, ControlPlane

PAGE = ROOT / "deploy" / "README.md"
NAMESPACE = "stepwell"
# The blocks of the page with commands of kubectl, in their order: what comes first, and a release.
BLOCKS_THAT_RUN = FIRST_BLOCK, RELEASE_BLOCK = (0, 1)
OVERLAY_OF_THE_PAGE = "overlays/hub"
BLOCK = re.compile(r"^```\n(?P<text>kubectl .*?)^```$", re.DOTALL | re.MULTILINE)
ROW = r"^\| `(?P<name>stepwell-[\w-]+)`(?P<more>[^|]*)\| (?P<keys>[^|:(]*)(?P<rest>[^|]*)\|"
SECRET = re.compile(ROW, re.MULTILINE)
TAG = re.compile(r"newTag: [\w.]+")
LOGIN_TYPE = "kubernetes.io/basic-auth"


@dataclass(frozen=True)
class Site:
    """One overlay, on one cluster."""

    plane: ControlPlane
    overlay: str

    def prepare(self) -> None:
        """A copy of the manifests that may be changed."""
        shutil.copytree(ROOT / "deploy", self.plane.folder / "deploy")

    def by_the_page(self, number: int) -> str:
        """Runs a block of the page, as it stands there but for the overlay; what it said."""
        return self.shell(blocks_of_the_page()[number].replace(OVERLAY_OF_THE_PAGE, f"overlays/{self.overlay}"))

    def shell(self, script: str) -> str:
        """What commands said. Raises RuntimeError for the first that fails, with what it said."""
        done = self.plane.shell(script)
        if done.returncode != 0:
            raise RuntimeError(f"{script}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def name_release(self, tag: str) -> None:
        """As who releases does, in the overlay."""
        path = self.plane.folder / "deploy" / "k8s" / "overlays" / self.overlay / "kustomization.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(TAG.sub(f"newTag: {tag}", text), encoding="utf-8")

    def make_secrets(self) -> None:
        """Those of the page's table that are not there yet, with its keys, and the site's own ConfigMap."""
        there = {each["metadata"]["name"] for each in self.listed("secrets")}
        for name, keys, kind in secrets_of_the_page():
            if name not in there:
                values = [f"--from-literal={key}=word" for key in keys]
                words = ["kubectl create secret generic", name, "--namespace", NAMESPACE, f"--type={kind}", *values]
                self.shell(" ".join(words))
        if self.overlay != "local":
            site = "deploy/k8s/overlays/local/site.json"
            self.shell(f"kubectl create configmap stepwell-site --namespace {NAMESPACE} --from-file={site}")

    def listed(self, kind: str, group: str = "api/v1", **query: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        return self.plane.items(f"/{group}/namespaces/{NAMESPACE}/{kind}", **query)


def blocks_of_the_page() -> list[str]:
    """Those with commands of kubectl."""
    return [found["text"] for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


def secrets_of_the_page() -> Iterator[tuple[str, list[str], str]]:
    """Name, keys and type of each secret that the page wants."""
    for row in SECRET.finditer(PAGE.read_text(encoding="utf-8")):
        base, keys = row["name"], re.findall(r"`([\w.-]+)`", row["keys"])
        kind = LOGIN_TYPE if LOGIN_TYPE in row["rest"] else "Opaque"
        names = [base.replace("SERVICE", service) for service in SERVICES] if "SERVICE" in base else [base]
        names += [base.rpartition("-")[0] + suffix for suffix in re.findall(r"`(-\w+)`", row["more"])]
        yield from ((name, keys, kind) for name in names)
