"""Protobuf messages of Envoy's API, with the fields that the gateway reads or writes.

The messages have their own descriptor pool. Packages with Envoy's whole API, such as
``xds-protos``, can therefore be loaded in the same process. Unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "int32": _Field.TYPE_INT32,
    "string": _Field.TYPE_STRING,
}
#: Fields by message: number and type. ``*`` marks repeated fields, and ``|`` members of a oneof.
#: Enumerations are ``int32``, which has the same encoding.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    # envoy/service/auth/v3
    "CheckRequest": {"attributes": (1, "AttributeContext")},
    "AttributeContext": {"request": (4, "Request")},
    "Request": {"http": (2, "HttpRequest")},
    "HttpRequest": {
        "method": (2, "string"),
        "headers": (3, "*HeaderEntry"),  # a map
        "path": (4, "string"),
        "host": (5, "string"),
        "scheme": (6, "string"),
        "header_map": (13, "HeaderMap"),
    },
    "HeaderEntry": {"key": (1, "string"), "value": (2, "string")},
    "CheckResponse": {
        "status": (1, "Status"),
        "denied_response": (2, "|DeniedHttpResponse"),
        "ok_response": (3, "|OkHttpResponse"),
    },
    "DeniedHttpResponse": {
        "status": (1, "HttpStatus"),
        "headers": (2, "*HeaderValueOption"),
        "body": (3, "string"),
    },
    "OkHttpResponse": {
        "headers": (2, "*HeaderValueOption"),
        "headers_to_remove": (5, "*string"),
    },
    # envoy/config/core/v3 and envoy/type/v3
    "HeaderMap": {"headers": (1, "*HeaderValue")},
    "HeaderValue": {"key": (1, "string"), "value": (2, "string"), "raw_value": (3, "bytes")},
    "HeaderValueOption": {
        "header": (1, "HeaderValue"),
        "append_action": (3, "int32"),
        "keep_empty_value": (4, "bool"),
    },
    "HttpStatus": {"code": (1, "int32")},
    "Node": {"id": (1, "string")},
    "DataSource": {"inline_bytes": (2, "|bytes")},
    # google/rpc/status.proto and google/protobuf/any.proto
    "Status": {"code": (1, "int32"), "message": (2, "string")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    # envoy/service/discovery/v3
    "DiscoveryRequest": {
        "version_info": (1, "string"),
        "node": (2, "Node"),
        "resource_names": (3, "*string"),
        "type_url": (4, "string"),
        "response_nonce": (5, "string"),
        "error_detail": (6, "Status"),
    },
    "DiscoveryResponse": {
        "version_info": (1, "string"),
        "resources": (2, "*Any"),
        "type_url": (4, "string"),
        "nonce": (5, "string"),
    },
    # envoy/extensions/transport_sockets/tls/v3
    "Secret": {"name": (1, "string"), "generic_secret": (5, "|GenericSecret")},
    "GenericSecret": {"secret": (1, "DataSource")},
}
_PACKAGE = "grantway.envoy"


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="grantway/envoy.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.strip("*|")
            added = message.field.add(
                name=field,
                number=number,
                label=_Field.LABEL_REPEATED if kind[0] == "*" else _Field.LABEL_OPTIONAL,
                type=_SCALARS.get(plain, _Field.TYPE_MESSAGE),
            )
            if plain not in _SCALARS:
                added.type_name = f".{_PACKAGE}.{plain}"
            if kind[0] == "|":
                if not message.oneof_decl:
                    message.oneof_decl.add(name="kind")
                added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_descriptors = _pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_descriptors.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


CheckRequest = _message("CheckRequest")
CheckResponse = _message("CheckResponse")
DiscoveryRequest = _message("DiscoveryRequest")
DiscoveryResponse = _message("DiscoveryResponse")
Secret = _message("Secret")
