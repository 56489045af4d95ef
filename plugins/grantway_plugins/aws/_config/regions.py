"""AWS's partitions and regions, and the host of SSO-OIDC in each.

If botocore is installed, its list of regions is added to the one below, without importing botocore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of AWS.

    Attributes:
        name: Name of the partition, like ``aws-cn``.
        dns_suffix: Domain of its services.
        dual_stack_dns_suffix: Domain of its dual-stack endpoints.
        fips: Whether it has FIPS endpoints.
        dual_stack: Whether it has dual-stack endpoints.
    """

    name: str
    dns_suffix: str
    dual_stack_dns_suffix: str
    fips: bool = True
    dual_stack: bool = True

    def host(self, region: str, *, fips: bool, dual_stack: bool) -> str:
        """Return the host of SSO-OIDC in a region, by the service's endpoint rules."""
        # In GovCloud, the ordinary endpoints are FIPS endpoints.
        own_name = fips and (dual_stack or self.name != "aws-us-gov")
        service = "oidc-fips" if own_name else "oidc"
        suffix = self.dual_stack_dns_suffix if dual_stack else self.dns_suffix
        return f"{service}.{region}.{suffix}"


# A test compares this with botocore's data.
_SHIPPED: dict[Partition, str] = {
    Partition("aws", "amazonaws.com", "api.aws"): (
        "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 "
        "ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 "
        "ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 "
        "eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 "
        "me-west-1 mx-central-1 sa-east-1 sa-west-1 us-east-1 us-east-2 us-west-1 us-west-2"
    ),
    Partition("aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"): (
        "cn-north-1 cn-northwest-1"
    ),
    Partition("aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"): "eusc-de-east-1",
    Partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov"): "us-iso-east-1 us-iso-west-1",
    Partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"): "us-isob-east-1 us-isob-west-1",
    Partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"): "eu-isoe-west-1",
    Partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"): (
        "us-isof-east-1 us-isof-south-1"
    ),
    Partition("aws-us-gov", "amazonaws.com", "api.aws"): "us-gov-east-1 us-gov-west-1",
}
SHIPPED: Mapping[str, Partition] = MappingProxyType(
    {region: partition for partition, names in _SHIPPED.items() for region in names.split()}
)


@cache
def regions() -> Mapping[str, Partition]:
    """Return the partition of each region in the shipped list and in botocore's."""
    return MappingProxyType({**SHIPPED, **dict(_of_botocore())})


def _of_botocore() -> Iterator[tuple[str, Partition]]:
    spec = find_spec("botocore")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            listed = json.loads(Path(folder, "data", "partitions.json").read_bytes())
            yield from [pair for one in listed["partitions"] for pair in _pairs(one)]
        except (OSError, ValueError, LookupError, TypeError):
            continue  # a botocore without the file, or with another format


def _pairs(listed: dict[str, Any]) -> Iterator[tuple[str, Partition]]:
    outputs = listed["outputs"]
    partition = Partition(
        outputs["name"],
        outputs["dnsSuffix"],
        outputs["dualStackDnsSuffix"],
        outputs["supportsFIPS"],
        outputs["supportsDualStack"],
    )
    for region in listed["regions"]:
        # SSO-OIDC has endpoints only in regions.
        if not region.endswith("-global"):
            yield region, partition
