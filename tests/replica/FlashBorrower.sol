// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Borrows from every lender of the replica, notes amount and fee, and pays back whatever it is told to.
contract FlashBorrower {
    uint256 public amount;
    uint256 public fee;
    uint256 public balanceInside;
    bool public stingy;

    function setStingy(bool value) external {
        stingy = value;
    }

    function borrow(address lender, bytes calldata data) external {
        amount = fee = balanceInside = 0;
        (bool ok, bytes memory result) = lender.call(data);
        if (!ok) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }

    function onMorphoFlashLoan(uint256 assets, bytes calldata token) external {
        _note(abi.decode(token, (address)), assets, 0);
        _approve(abi.decode(token, (address)), assets);
    }

    function receiveFlashLoan(
        address[] memory tokens,
        uint256[] memory amounts,
        uint256[] memory fees,
        bytes memory
    ) external {
        _note(tokens[0], amounts[0], fees[0]);
        _transfer(tokens[0], amounts[0] + fees[0]);
    }

    function executeOperation(address token, uint256 assets, uint256 premium, address, bytes calldata)
        external
        returns (bool)
    {
        _note(token, assets, premium);
        _approve(token, assets + premium);
        return true;
    }

    function onFlashLoan(address, address token, uint256 assets, uint256 premium, bytes calldata)
        external
        returns (bytes32)
    {
        _note(token, assets, premium);
        _approve(token, assets + premium);
        return keccak256("ERC3156FlashBorrower.onFlashLoan");
    }

    function DVMFlashLoanCall(address, uint256 base, uint256 quote, bytes calldata token) external {
        _repayDodo(base + quote, token);
    }

    function DSPFlashLoanCall(address, uint256 base, uint256 quote, bytes calldata token) external {
        _repayDodo(base + quote, token);
    }

    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        (address token, uint256 assets) = abi.decode(data, (address, uint256));
        _call(msg.sender, abi.encodeWithSignature("take(address,address,uint256)", token, address(this), assets));
        _note(token, assets, 0);
        _call(msg.sender, abi.encodeWithSignature("sync(address)", token));
        _transfer(token, assets);
        _call(msg.sender, abi.encodeWithSignature("settle()"));
        return "";
    }

    function _repayDodo(uint256 assets, bytes calldata token) private {
        _note(abi.decode(token, (address)), assets, 0);
        _transfer(abi.decode(token, (address)), assets);
    }

    function _note(address token, uint256 assets, uint256 premium) private {
        amount = assets;
        fee = premium;
        balanceInside = abi.decode(
            _call(token, abi.encodeWithSignature("balanceOf(address)", address(this))), (uint256)
        );
    }

    function _approve(address token, uint256 due) private {
        _call(token, abi.encodeWithSignature("approve(address,uint256)", msg.sender, stingy ? due - 1 : due));
    }

    function _transfer(address token, uint256 due) private {
        _call(token, abi.encodeWithSignature("transfer(address,uint256)", msg.sender, stingy ? due - 1 : due));
    }

    function _call(address to, bytes memory data) private returns (bytes memory) {
        (bool ok, bytes memory result) = to.call(data);
        require(ok, "call failed");
        return result;
    }
}
