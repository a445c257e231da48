// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IDodoBorrower {
    function DVMFlashLoanCall(address sender, uint256 base, uint256 quote, bytes calldata data) external;
    function DPPFlashLoanCall(address sender, uint256 base, uint256 quote, bytes calldata data) external;
    function DSPFlashLoanCall(address sender, uint256 base, uint256 quote, bytes calldata data) external;
}

interface IHeld {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external;
}

/// Stands in for the flash loans of DODO's pools: pays out, calls the receiver back under the name that its kind of
/// pool uses, and wants both reserves whole again. The real pools also take one token for the other at their price;
/// this one does not trade.
contract DodoPool {
    enum Kind {
        VendingMachine,
        PrivatePool,
        StablePool
    }

    address public immutable _BASE_TOKEN_;
    address public immutable _QUOTE_TOKEN_;
    Kind public immutable kind;
    uint112 public _BASE_RESERVE_;
    uint112 public _QUOTE_RESERVE_;
    bool private entered;

    event DODOFlashLoan(address borrower, address assetTo, uint256 baseAmount, uint256 quoteAmount);

    constructor(address base, address quote, Kind kind_) {
        (_BASE_TOKEN_, _QUOTE_TOKEN_, kind) = (base, quote, kind_);
    }

    /// Take what lies here into the reserves.
    function sync() external {
        require(!entered, "REENTRANT");
        (_BASE_RESERVE_, _QUOTE_RESERVE_) = (uint112(held(_BASE_TOKEN_)), uint112(held(_QUOTE_TOKEN_)));
    }

    function getVaultReserve() external view returns (uint256 base, uint256 quote) {
        return (_BASE_RESERVE_, _QUOTE_RESERVE_);
    }

    function flashLoan(uint256 baseAmount, uint256 quoteAmount, address assetTo, bytes calldata data) external {
        require(!entered, "REENTRANT");
        entered = true;
        pay(_BASE_TOKEN_, assetTo, baseAmount);
        pay(_QUOTE_TOKEN_, assetTo, quoteAmount);
        if (data.length > 0) {
            IDodoBorrower borrower = IDodoBorrower(assetTo);
            if (kind == Kind.VendingMachine) borrower.DVMFlashLoanCall(msg.sender, baseAmount, quoteAmount, data);
            else if (kind == Kind.PrivatePool) borrower.DPPFlashLoanCall(msg.sender, baseAmount, quoteAmount, data);
            else borrower.DSPFlashLoanCall(msg.sender, baseAmount, quoteAmount, data);
        }
        require(held(_BASE_TOKEN_) >= _BASE_RESERVE_ && held(_QUOTE_TOKEN_) >= _QUOTE_RESERVE_, "FLASH_LOAN_FAILED");
        emit DODOFlashLoan(msg.sender, assetTo, baseAmount, quoteAmount);
        entered = false;
    }

    function held(address token) private view returns (uint256) {
        return IHeld(token).balanceOf(address(this));
    }

    /// Tokens that answer nothing are as good as those that answer true.
    function pay(address token, address to, uint256 amount) private {
        if (amount > 0) IHeld(token).transfer(to, amount);
    }
}
