"""Pairing (section 3 of the WhatsApp HTTP API), and the contacts and groups it gives access to."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from .accounts import OptionError, WhatsAppHttpAccount
from .call import Outcome
from .png import qr_code as picture_of
from .state import State
from .whatsapp_reports import ZERO_TIME, answered, stamp
from .whatsapp_rules import RefusedError
from .wire import dump

if TYPE_CHECKING:
    from .whatsapp_http import Fields

QR_LIFE = 20.0
"""Seconds until the code changes; the document names none."""
ASSETS = "/assets/qrcode/"


class ExpiredError(OptionError):
    """A code that is not shown any more."""


# The codes


def serial(state: State) -> int:
    """The number of the code that is shown now."""
    return int(state.now() / QR_LIFE)


def code(account: WhatsAppHttpAccount, number: int) -> str:
    """What the QR code says: like WhatsApp's own, a reference and keys, all made up."""
    seed = f"{account.token}:{account.pairings}:{number}"
    digest = base64.b64encode(hashlib.sha512(seed.encode()).digest()).decode()
    return f"2@{digest[:43]}=,{digest[43:]},{number}"


def picture(state: State, account: WhatsAppHttpAccount) -> bytes:
    """The present code as a PNG."""
    return picture_of(code(account, serial(state)))


def link_name(account: WhatsAppHttpAccount, number: int) -> str:
    """The file name in section 3.2: it contains the instance id, as the sample does."""
    letters = base64.b32encode(hashlib.sha256(code(account, number).encode()).digest()).decode()
    return f"qrcode_{account.token}_{letters[:6]}.png"


def asset(state: State, name: str) -> bytes | None:
    """The picture behind a link, as long as its code is shown."""
    token = name.removeprefix("qrcode_").partition("_")[0]
    account = state.instance(token)
    if account is None or account.connected or name != link_name(account, serial(state)):
        return None
    return picture(state, account)


def scan(state: State, account: WhatsAppHttpAccount, scanned: str = "") -> None:
    """A phone scans the present code, or one it has seen before."""
    # A phone takes a moment, so the code before the present one is still taken.
    valid = [code(account, serial(state) - age) for age in (0, 1)]
    if scanned and scanned not in valid:
        raise ExpiredError("this code has expired")
    account.connected = True


def disconnect(account: WhatsAppHttpAccount) -> None:
    """The phone logs the instance out; codes from before are worth nothing."""
    account.connected = False
    account.pairings += 1


# Section 3


def qr_code(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 3.1: the instance's status when connected, else a picture to scan."""
    if account.connected:
        return answered(instance(state, account), {"responsetime": 0.00003})
    data = base64.b64encode(picture(state, account)).decode()
    answer = {"data": data, "message": "success", "responsetime": 0.67, "status": "qrcode"}
    return Outcome(200, dump(answer), "qrcode")


def qr_code_link(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 3.2: the same, but the picture is behind a link."""
    if account.connected:
        return answered(instance(state, account), {"responsetime": 0.00003})
    base = f"http://{fields.host}" if fields.host else state.base_url
    answer = {
        "status": "qrcode",
        "message": "00-Success",
        "data": f"{base}{ASSETS}{link_name(account, serial(state))}",
        "responsetime": 0.806042572,
    }
    return Outcome(200, dump(answer), "qrcode")


def instance(state: State, account: WhatsAppHttpAccount) -> dict[str, Any]:
    """The complete status of a connected instance, which the document prints damaged."""
    now = state.now()
    unknown = "N/A"
    return {
        "instanceID": account.token,
        "clientID": account.client_id,
        "name": account.push_name,
        "login": True,
        "status": True,
        "creditID": "620000000000000000000000",
        "creditReadID": "620000000000000000000001",
        "isUnlimited": False,
        "quotaLimit": account.quota_limit,
        "quota": account.quota,
        "todayUsage": account.today_usage,
        "todayUsageUpdate": stamp(now) if account.today_usage else ZERO_TIME,
        "usage": account.usage,
        "quotaUpdate": stamp(now - 86_400),
        "expired": _rfc3339(account.expiry_date),
        "isRead": True,
        "chatbotID": "",
        "readExpired": _rfc3339(account.expiry_date),
        "webHook": account.webhook,
        "info": {
            "Battery": 0,
            "Platform": "MD",
            "Connected": True,
            "Pushname": account.push_name,
            "Wid": account.number,
            "Lc": "",
            "Phone": {
                "Mcc": unknown,
                "Mnc": unknown,
                "OsVersion": unknown,
                "DeviceManufacturer": unknown,
                "DeviceModel": unknown,
                "OsBuildNumber": unknown,
                "WaVersion": unknown,
            },
            "Plugged": False,
            "Tos": 0,
            "Lg": "",
            "Is24h": False,
        },
        "backup": None,
        "backupRead": None,
        "client": None,
        "voucher": None,
        "voucherRead": None,
        "isValid": False,
        "virtualCredit": False,
        "virtualCreditLvl2": False,
        "autoRecharge": False,
        "autoRechargeVoucherID": "",
        "autoRechargeVoucherInfo": "",
    }


def _rfc3339(expiry: str) -> str:
    # "2027-05-04 22:29:59 +0530 IST" in checkBal is "2027-05-04T22:29:59+05:30" here.
    date, clock, offset, *_ = (*expiry.split(" "), "", "")
    return f"{date}T{clock}{offset[:3]}:{offset[3:]}" if offset else expiry


# Sections 6 and 7


def contacts(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 7: the phone's contacts; 14 means that no phone is connected."""
    return _of_the_phone(account, account.contacts, 0.05100678)


def groups(state: State, account: WhatsAppHttpAccount, fields: Fields) -> Outcome:
    """Section 6: the phone's groups with their members."""
    return _of_the_phone(account, account.groups, 0.322406625)


def _of_the_phone(
    account: WhatsAppHttpAccount, rows: list[dict[str, Any]], seconds: float
) -> Outcome:
    if not account.connected:
        raise RefusedError("14")
    return answered(rows, {"responsetime": seconds})
