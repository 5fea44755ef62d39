"""Errors of serving.

ServingError                  exit code 1: something failed
    StubsError                the gRPC stubs could not be generated
    StartError                TorchServe is not there to be started
    ServerError               the server did not come up, died, or answered nonsense
    NotReadyError             the live version does not answer rightly
        NotLoadedError        it is not even loaded
    PromotionError            a version was refused; the old one goes on serving
    RequestError              a request had no answer to give
        BadImageError         400, 415: the photo, or what was asked of it
        TooLargeError         413
        NotFoundError         no such model or version
        ConflictError         409: that version is registered already
        UnauthorisedError     no token, a wrong one, an expired one
        OverloadedError       the queue is full; try again later
        DeadlineError         504, or no answer within the time given
        UnreachableError      no connection
        InternalServerError   5xx
    InputError                exit code 2: the user gave something wrong
        SettingsError         config.properties, a token or certificate file, or no Java
        AddressError          a server's address that is none
        ArchiveError          a file that is no archive of ours
            ForeignCodeError  one that brings code of others
            SignatureError    one without the signature that is asked for
        NoServerError         no server runs with this state folder
        BusyError             another promotion is under way, a port is taken
"""


class ServingError(Exception):
    exit_code = 1


class StubsError(ServingError):
    pass


class StartError(ServingError):
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


# The handler's codes for a photo, and not for the request around it.
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
    """Return the exception of an answer's status, the same for HTTP and gRPC."""
    if "Token Authorization failed" in message or code == "InvalidKeyException":
        kind: type[RequestError] = UnauthorisedError
    elif message.startswith("Worker died"):
        # TorchServe says 413 where the worker was killed, as if by the kernel for its memory.
        kind = InternalServerError
    elif status == 503 and (code == "server_stopping" or "has no worker to serve" in message):
        # TorchServe's words for a full queue.
        kind = OverloadedError
    else:
        otherwise = BadImageError if 400 <= status < 500 else InternalServerError
        kind = CLASS_OF_STATUS.get(status, otherwise)
    return kind(message, status=status, code=code)
