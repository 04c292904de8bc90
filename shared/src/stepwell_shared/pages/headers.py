"""The headers of every page: nothing from elsewhere, nothing in a frame, no trace of the address, and no copy kept."""

from base64 import b64encode
from hashlib import sha256


def security_headers(**sources: str) -> dict[str, str]:
    """Headers that allow what is named and nothing else.

    `sources` are directives of a Content Security Policy with an underscore for the hyphen, such as
    `style_src="'self'"`. https://www.w3.org/TR/CSP3/
    """
    policy = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
    policy |= {name.replace("_", "-"): value for name, value in sources.items()}
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex, nofollow",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def hash_of(text: str) -> str:
    """How a policy names a style or a script that stands in the page itself."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
