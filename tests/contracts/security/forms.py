"""How each operation that is called back is called back, and every callback that anybody knows."""

from __future__ import annotations

from keeper.execution.opcodes import V3_SWAPS, Opcode
from tests.contracts.security.cast import FEE, MINUS, OWED, Form
from tests.contracts.site import WETH

_WETH = int(WETH, 16)
AMOUNT = 100

V2 = Form("uniswapV2Call(address,uint256,uint256,bytes)", (None, 0, 4, 0x80))
V3 = Form("uniswapV3SwapCallback(int256,int256,bytes)", (OWED, OWED, 0x60))
MORPHO = Form("onMorphoFlashLoan(uint256,bytes)", (AMOUNT, 0x40))
BALANCER_V2 = Form(
    "receiveFlashLoan(address[],uint256[],uint256[],bytes)",
    (0x80, 0xC0, 0x100, 0x140, 1, _WETH, 1, AMOUNT, 1, 0),
)
AAVE_V3 = Form("executeOperation(address,uint256,uint256,address,bytes)", (_WETH, AMOUNT, FEE, None, 0xA0))
ERC3156 = Form("onFlashLoan(address,address,uint256,uint256,bytes)", (None, _WETH, AMOUNT, 0, 0xA0))
V3_FLASH = Form("uniswapV3FlashCallback(uint256,uint256,bytes)", (FEE, FEE, 0x60))
DODO = Form("DVMFlashLoanCall(address,uint256,uint256,bytes)", (None, AMOUNT, 0, 0x80))
V4 = Form("unlockCallback(bytes)", (0x20,))
BALANCER_V3 = Form("", (0x20,))
"""Its vault hands over whatever bytes it was given; the executor's begin with four zeros."""

FORMS: dict[Opcode, Form] = {
    Opcode.UNISWAP_V2_FLASH: V2,
    **dict.fromkeys(V3_SWAPS, V3),
    Opcode.V3_TOKEN: V3,
    Opcode.MORPHO: MORPHO,
    Opcode.BALANCER_V2: BALANCER_V2,
    Opcode.AAVE_V3: AAVE_V3,
    Opcode.ERC3156_LOAN: ERC3156,
    Opcode.V3_FLASH_0: V3_FLASH,
    Opcode.V3_FLASH_1: V3_FLASH,
    Opcode.DODO_BASE: DODO,
    Opcode.DODO_QUOTE: DODO,
    Opcode.V4_UNLOCK: V4,
    Opcode.V4_UNLOCK_ETHEREUM: V4,
    Opcode.BALANCER_V3_UNLOCK: BALANCER_V3,
}
"""The callback that each operation commits to; a test holds that none is left out."""

MANNERS: dict[str, tuple[Form, int]] = {
    "swap(uint256,uint256,address,bytes)": (V2, 0),
    "swap(address,bool,int256,uint160,bytes)": (V3, 0),
    "flashLoan(address,uint256,bytes)": (MORPHO, 1),
    "flashLoan(address,address[],uint256[],bytes)": (BALANCER_V2, 0),
    "flashLoanSimple(address,address,uint256,bytes,uint16)": (AAVE_V3, 2),
    "flashLoan(address,address,uint256,bytes)": (ERC3156, 2),
    "flash(address,uint256,uint256,bytes)": (V3_FLASH, 0),
    "flashLoan(uint256,uint256,address,bytes)": (DODO, 0),
    "unlock(bytes)": (V4, 0),
}
"""How a well-behaved pool or lender answers a call: its callback, and one above the argument that names the token it is
owed afterwards, 0 for none."""

_CAKE = (None, 0, 4, 0x80)
_SWAP = (MINUS - 9, OWED, 0x60)
CALLBACKS = (
    *dict.fromkeys(FORMS.values()),
    *(Form(f"{name}(address,uint256,uint256,bytes)", _CAKE) for name in ("pancakeCall", "hook", "BiswapCall")),
    *(Form(f"{name}(address,uint256,uint256,bytes)", _CAKE) for name in ("DPPFlashLoanCall",)),
    *(Form(f"{name}(address,uint256,uint256,bytes)", _CAKE) for name in ("DSPFlashLoanCall", "DPPOracleFlashLoanCall")),
    *(Form(f"{name}(int256,int256,bytes)", _SWAP) for name in ("pancakeV3SwapCallback", "algebraSwapCallback")),
    Form("pancakeV3FlashCallback(uint256,uint256,bytes)", (FEE, FEE, 0x60)),
    Form("onFlashLoan(bytes)", (0x20,)),
    Form("receiveFlashLoanHook(bytes)", (0x20,)),
    Form("callFunction(address,(address,uint256),bytes)", (None, _WETH, 1, 0x80)),
    Form("executeOperation(address[],uint256[],uint256[],address,bytes)", (0xA0, 0xC0, 0xE0, None, 0x100, 0, 0, 0)),
    Form("swapCallback(uint256,uint256,bytes)", (AMOUNT, OWED, 0x60)),
    Form("maverickV2SwapCallback(address,uint256,uint256,bytes)", (_WETH, AMOUNT, OWED, 0x80)),
    Form("tokensReceived(address,address,address,uint256,bytes,bytes)", (None, None, None, 1, 0xC0, 0)),
)
"""The callbacks of every venue and lender above, and of forks that name theirs otherwise."""

FUNCTIONS = (
    "operator()",
    "treasury()",
    "owner()",
    "sweep(address,uint256)",
    "transfer(address,uint256)",
    "approve(address,uint256)",
    "transferFrom(address,address,uint256)",
    "setOperator(address)",
    "setOwner(address)",
    "transferOwnership(address)",
    "initialize(address)",
    "upgradeTo(address)",
    "execute(address,uint256,bytes)",
    "multicall(bytes[])",
    "withdraw(uint256)",
    "withdraw(address,uint256)",
    "swap(uint256,uint256,address,bytes)",
    "swap(address,bool,int256,uint160,bytes)",
    "flashLoan(address,address[],uint256[],bytes)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "isValidSignature(bytes32,bytes)",
    "supportsInterface(bytes4)",
    "onERC721Received(address,address,uint256,bytes)",
)
"""What attackers try by habit."""
