// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IERC3156FlashBorrower {
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32);
}

interface IDai {
    function mint(address usr, uint256 wad) external;
    function burn(address usr, uint256 wad) external;
    function transferFrom(address src, address dst, uint256 wad) external returns (bool);
}

/// Stands in for Maker's DssFlash: mints Dai for one call, takes it back and burns it, without fee (ERC-3156).
contract DssFlash {
    IDai public immutable dai;
    uint256 public immutable max;
    uint256 public constant toll = 0;
    bytes32 public constant CALLBACK_SUCCESS = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 private unlocked = 1;

    event FlashLoan(address indexed receiver, address token, uint256 amount, uint256 fee);

    constructor(IDai dai_, uint256 max_) {
        dai = dai_;
        max = max_;
    }

    function maxFlashLoan(address token) external view returns (uint256) {
        return token == address(dai) && unlocked == 1 ? max : 0;
    }

    function flashFee(address token, uint256) external view returns (uint256) {
        require(token == address(dai), "DssFlash/token-unsupported");
        return 0;
    }

    function flashLoan(IERC3156FlashBorrower receiver, address token, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        require(unlocked == 1, "DssFlash/reentrancy-guard");
        require(token == address(dai), "DssFlash/token-unsupported");
        require(amount <= max, "DssFlash/ceiling-exceeded");
        unlocked = 0;
        dai.mint(address(receiver), amount);
        emit FlashLoan(address(receiver), token, amount, 0);
        require(
            receiver.onFlashLoan(msg.sender, token, amount, 0, data) == CALLBACK_SUCCESS, "DssFlash/callback-failed"
        );
        dai.transferFrom(address(receiver), address(this), amount);
        dai.burn(address(this), amount);
        unlocked = 1;
        return true;
    }
}
