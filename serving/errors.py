"""Errors of serving.

ServingError                  exit code 1: something failed
    StubsError                the gRPC stubs could not be generated
    ServerError               TorchServe is not installed, did not become ready, or exited
    NotReadyError             the live version does not answer its probes correctly
        NotLoadedError        it is not loaded at all
    PromotionError            a version was rejected; the one before it goes on serving
    RequestError              a request was not answered
        BadImageError         400, 415: the photo, or an option of the request, cannot be used
        TooLargeError         413: the photo, or the request, is too large
        NotFoundError         404: no such model or version
        ConflictError         409: the version is already registered
        UnauthorisedError     401, 403: no token, a wrong one or an expired one
        OverloadedError       503: the queue is full; try again later
        DeadlineError         504, or no answer within the timeout
        UnreachableError      no connection
        InternalServerError   5xx
    InputError                exit code 2: the user has to correct something
        SettingsError         config.properties, a token or certificate file, or no Java
            GpuNameError      CUDA_VISIBLE_DEVICES
        AddressError          not a server address
        ArchiveError          not an archive of headswap
            ForeignCodeError  it contains code that is not headswap's
            SignatureError    it lacks a valid signature
        NoServerError         no server is running with this state folder
        BusyError             another promotion is running, or a port is in use
"""


class ServingError(Exception):
    exit_code = 1


class StubsError(ServingError):
    pass


class ServerError(ServingError):
    pass


class NotReadyError(ServingError):
    pass


class NotLoadedError(NotReadyError):
    pass


class PromotionError(ServingError):
    pass


class RequestError(ServingError):
    """`status` is HTTP's, 0 if there was no answer; `code` is the handler's, or the name of TorchServe's exception."""

    name: str | None = None
    """Of several photos of one request, the one that this error is about: its key, or its index in the list."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class BadImageError(RequestError):
    pass


class TooLargeError(RequestError):
    pass


class NotFoundError(RequestError):
    pass


class ConflictError(RequestError):
    pass


class UnauthorisedError(RequestError):
    pass


class OverloadedError(RequestError):
    pass


class DeadlineError(RequestError):
    pass


class UnreachableError(RequestError):
    pass


class InternalServerError(RequestError):
    pass


class InputError(ServingError):
    exit_code = 2


class SettingsError(InputError):
    pass


class GpuNameError(SettingsError):
    pass


class AddressError(InputError):
    pass


class ArchiveError(InputError):
    pass


class ForeignCodeError(ArchiveError):
    pass


class SignatureError(ArchiveError):
    pass


class NoServerError(InputError):
    pass


class BusyError(InputError):
    pass


# The handler's codes for an unusable photo, as opposed to an unusable request.
PHOTO_CODES = frozenset(
    {"empty_body", "undecodable_image", "image_too_large", "unsupported_media_type"}
)

CLASS_OF_STATUS: dict[int, type[RequestError]] = {
    401: UnauthorisedError,
    403: UnauthorisedError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    504: DeadlineError,
}


def request_error(status: int, code: str, message: str) -> RequestError:
    """Return the exception for an error response, the same for HTTP and gRPC."""
    if "Token Authorization failed" in message or code == "InvalidKeyException":
        kind: type[RequestError] = UnauthorisedError
    elif message.startswith("Worker died"):
        # TorchServe answers 413 if the worker was killed, for instance by the kernel for its memory.
        kind = InternalServerError
    elif status == 503 and (code == "server_stopping" or "has no worker to serve" in message):
        # That is how TorchServe reports a full queue.
        kind = OverloadedError
    else:
        otherwise = BadImageError if 400 <= status < 500 else InternalServerError
        kind = CLASS_OF_STATUS.get(status, otherwise)
    return kind(message, status=status, code=code)
