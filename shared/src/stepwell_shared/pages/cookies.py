"""Cookies of pages: for one path of one host, for no script, and by https alone where the host is reached by it.

Lax: a link from elsewhere leads here with the cookie; what is posted from elsewhere brings none.
https://www.rfc-editor.org/rfc/rfc6265 and its successor's section "Cookie Name Prefixes"
"""


def cookie_name(name: str, *, secure: bool) -> str:
    """The name that browsers take only with Secure and by https, so that nobody on the way puts one in."""
    return f"__Secure-{name}" if secure else name


def cookie(name: str, value: str, path: str, *, secure: bool, is_over: bool = False) -> str:
    """The header Set-Cookie; `is_over` takes it out of the browser."""
    end = "; Max-Age=0" if is_over else ""
    only = "; Secure" if secure else ""
    return f"{cookie_name(name, secure=secure)}={value}; Path={path}{end}; HttpOnly; SameSite=Lax{only}"


def cookie_values(header: str, name: str, *, secure: bool) -> list[str]:
    """The values of a cookie of ours in a header Cookie."""
    pairs = [part.strip().partition("=") for part in header.split(";")]
    return [value for key, _, value in pairs if key == cookie_name(name, secure=secure)]
