"""Credentials of S3 if the environment has none: a profile of ``~/.aws``, as for the tools of AWS.

Format and order are those of the AWS SDKs (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html): the
environment comes first, then the profile that ``AWS_PROFILE`` names, or ``default``; the library handles the roles of
machines and pods. Nothing that is read here is written anywhere or printed in an error.
"""

import configparser
import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from phonolake.errors import UsageError

DEFAULT = "default"
# With these there are credentials, or a role that the library requests.
OWN = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")
# Settings of a profile that need a request; boto3 handles them.
ASKED = ("sso_session", "sso_start_url", "role_arn", "login_session", "web_identity_token_file")
# Credentials are renewed this long before they expire.
EARLY = timedelta(minutes=5)
PROCESS_SECONDS = 120
_held: dict[str, "Keys"] = {}


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of S3, hidden in their repr."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return "Keys(...)"

    @property
    def last(self) -> bool:
        """Whether they are valid for some time yet."""
        return self.expires_at is None or self.expires_at - datetime.now(UTC) > EARLY


@dataclass(frozen=True, slots=True)
class Access:
    """Settings from the files of AWS besides the environment: credentials, region and endpoint, if any."""

    keys: Keys | None = None
    region: str | None = None
    endpoint: str | None = None

    def options(self) -> dict[str, str]:
        """By their names in the environment."""
        keys = self.keys
        found = {
            "AWS_ACCESS_KEY_ID": keys and keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys and keys.secret_access_key,
            "AWS_SESSION_TOKEN": keys and keys.token,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        return {name: value for name, value in found.items() if value}


def access() -> Access:
    """The current settings; the library adds those of the environment.

    Raises
    ------
    UsageError
        When the profile is missing or unreadable, or needs boto3.
    """
    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or DEFAULT
    config, credentials = _read("AWS_CONFIG_FILE", "config"), _read("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    profiles = {_profile_of(section): config[section] for section in config}
    if name not in profiles and name not in credentials:
        if name == DEFAULT:
            return Access()
        raise UsageError(f"AWS_PROFILE names {name!r}, which is neither in ~/.aws/config nor in ~/.aws/credentials")
    profile = {**profiles.get(name, {}), **credentials.get(name, {})}
    own = any(os.environ.get(variable) for variable in OWN)
    has_region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return Access(
        None if own else _keys(name, profile),
        None if has_region else profile.get("region"),
        _endpoint(profile, config),
    )


def _read(variable: str, file: str) -> dict[str, Mapping[str, str]]:
    """Sections of a file, if it is there."""
    path = Path(os.environ.get(variable) or f"~/.aws/{file}").expanduser()
    # The section [default] has no meaning for the others; values may hold '%'.
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, configparser.Error):
        # Its error message may contain a secret.
        raise UsageError(f"{path} cannot be read as profiles of AWS: put its sections and lines in order") from None
    return {section: parser[section] for section in parser.sections()}


def _profile_of(section: str) -> str | None:
    """The profile of a section of the file ``config``: ``[profile NAME]``, or ``[default]``."""
    if section == DEFAULT:
        return section
    kind, _, name = section.partition(" ")
    return name.strip().strip("\"'") if kind == "profile" else None


def _endpoint(profile: Mapping[str, str], config: Mapping[str, Mapping[str, str]]) -> str | None:
    """The endpoint of S3, unless the environment sets it or disables this lookup."""
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", profile.get("ignore_configured_endpoint_urls", ""))
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3") or ignored.lower() == "true":
        return None
    services = config.get(f"services {profile['services']}", {}) if "services" in profile else {}
    # Settings of one service are lines below its name.
    lines = (line.partition("=") for line in services.get("s3", "").splitlines())
    own = {key.strip(): value.strip() for key, _, value in lines}
    return own.get("endpoint_url") or profile.get("endpoint_url")


def _keys(name: str, profile: Mapping[str, str]) -> Keys | None:
    if "aws_access_key_id" in profile and "role_arn" not in profile:
        if "aws_secret_access_key" not in profile:
            raise UsageError(f"the profile {name!r} of AWS has an aws_access_key_id and no aws_secret_access_key")
        token = profile.get("aws_session_token")
        return Keys(profile["aws_access_key_id"], profile["aws_secret_access_key"], token)
    asked = any(setting in profile for setting in ASKED)
    if not asked and "credential_process" not in profile:
        return None
    held = _held.get(name)
    if held is None or not held.last:
        held = _held[name] = _by_boto3(name) if asked else _by_process(name, profile["credential_process"])
    return held


def _by_process(name: str, command: str) -> Keys:
    """Run the profile's program, which prints JSON with keys and their expiry (ISO 8601)."""
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, check=True, timeout=PROCESS_SECONDS)
        said: dict[str, Any] = json.loads(done.stdout)
        until = datetime.fromisoformat(said["Expiration"]) if said.get("Expiration") else None
        if until is not None and until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return Keys(said["AccessKeyId"], said["SecretAccessKey"], said.get("SessionToken"), until)
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
        # Its output and arguments must stay secret.
        raise UsageError(
            f"the credential_process of the profile {name!r} of AWS gives no credentials: run it by hand to see why"
        ) from None


def _by_boto3(name: str) -> Keys:
    """Credentials of a role or of a signed-in user."""
    try:
        import boto3
    except ModuleNotFoundError:
        by_hand = f'eval "$(aws configure export-credentials --profile {name} --format env)"'
        raise UsageError(
            f"the profile {name!r} of AWS signs in or assumes a role, which needs boto3: "
            f"pip install 'phonolake[aws]', or {by_hand}"
        ) from None
    try:
        found = boto3.Session(profile_name=name).get_credentials().get_frozen_credentials()
    except Exception as error:  # errors of botocore, of signing in and of the network
        said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UsageError(f"the profile {name!r} of AWS gives no credentials ({said}): aws sso login may help") from None
    return Keys(found.access_key, found.secret_key, found.token, datetime.now(UTC) + 2 * EARLY + timedelta(minutes=5))
