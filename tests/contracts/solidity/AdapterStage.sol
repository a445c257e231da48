// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface Coin {
    function transfer(address to, uint256 amount) external;
    function transferFrom(address from, address to, uint256 amount) external;
}

/// @title Plays any pool, lender, protocol or reactor for the adapter, honestly or in one of several hostile ways
/// @notice It pays out and pulls what its terms say. Its code can be put at any address.
contract AdapterStage {
    enum Mode {
        HONEST,
        ALTERED, // the last byte of the data is another one
        EXTENDED, // the data is one byte longer
        TWICE, // calls back twice
        SILENT, // does not call back
        FOREIGN, // names another initiator
        ACCOMPLICE, // lets another contract call back
        OTHERWISE, // calls back another function
        GREEDY, // asks for one unit more
        SHORT, // asks for one unit less
        INFLATED, // claims to have lent twice as much
        LAX, // pulls one unit less than it may
        MOVING // makes the prepared call first
    }

    struct Output {
        address token;
        uint256 amount;
        address recipient;
    }

    struct OrderInfo {
        address reactor;
        address swapper;
        uint256 nonce;
        uint256 deadline;
        address additionalValidationContract;
        bytes additionalValidationData;
    }

    struct Input {
        address token;
        uint256 amount;
        uint256 maxAmount;
    }

    struct ResolvedOrder {
        OrderInfo info;
        Input input;
        Output[] outputs;
        bytes sig;
        bytes32 hash;
    }

    struct SignedOrder {
        bytes order;
        bytes sig;
    }

    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    Mode public mode;
    address public accomplice;
    uint256 public fee;
    address private payToken;
    uint256 private payAmount;
    address private askToken;
    uint256 private askAmount;
    address private target;
    bytes private prepared;
    uint256 public succeeded;

    function set(Mode mode_, address accomplice_, uint256 fee_) external {
        mode = mode_;
        accomplice = accomplice_;
        fee = fee_;
    }

    function agree(address payToken_, uint256 payAmount_, address askToken_, uint256 askAmount_) external {
        (payToken, payAmount, askToken, askAmount) = (payToken_, payAmount_, askToken_, askAmount_);
    }

    function prepare(address target_, bytes calldata data) external {
        (target, prepared) = (target_, data);
    }

    /// @dev Make several calls in one transaction; counts those that went through.
    function perform(address[] calldata targets, bytes[] calldata data) external {
        for (uint256 i = 0; i < targets.length; i++) {
            (bool ok,) = targets[i].call(data[i]);
            if (ok) succeeded++;
        }
    }

    /// @dev The accomplice's part.
    function forward(address to, bytes calldata data) external {
        _must(to, data);
    }

    // ------------------------------------------------------------------ pools

    function getReserves() external pure returns (uint112, uint112, uint32) {
        return (0, 0, 0);
    }

    function swap(uint256, uint256, address to, bytes calldata) external {
        _pay(to);
    }

    function swap(address to, bool, int256 amount, uint160, bytes calldata data) external returns (int256, int256) {
        _move();
        _pay(to);
        int256 asked = mode == Mode.GREEDY ? amount + 1 : mode == Mode.SHORT ? amount - 1 : amount;
        if (mode == Mode.OTHERWISE) _callBack(abi.encodeWithSelector(0x31f57072, asked, _data(data)));
        else _callBack(abi.encodeWithSelector(0xfa461e33, asked, int256(-1), _data(data)));
        return (asked, -1);
    }

    // ------------------------------------------------------------------ lenders

    function flashLoan(address token, uint256 amount, bytes calldata data) external {
        _lend(token, amount);
        _callBack(abi.encodeWithSelector(0x31f57072, _claimed(amount), _data(data)));
        _pull(token, amount);
    }

    function flashLoan(address, address[] calldata tokens, uint256[] memory amounts, bytes calldata data) external {
        _lend(tokens[0], amounts[0]);
        uint256[] memory fees = new uint256[](1);
        fees[0] = fee;
        amounts[0] = _claimed(amounts[0]);
        _callBack(abi.encodeWithSelector(0xf04f2707, tokens, amounts, fees, _data(data)));
    }

    function flashLoanSimple(address, address token, uint256 amount, bytes calldata data, uint16) external {
        _lend(token, amount);
        address initiator = mode == Mode.FOREIGN ? address(0xbad) : msg.sender;
        _callBack(abi.encodeWithSelector(0x1b11d0ff, token, _claimed(amount), fee, initiator, _data(data)));
        _pull(token, amount + fee);
    }

    // ------------------------------------------------------------------ protocols

    function liquidationCall(address, address debt, address, uint256 amount, bool) external {
        _pull(debt, amount);
        _pay(msg.sender);
    }

    function liquidate(MarketParams calldata, address, uint256, uint256, bytes calldata data)
        external
        returns (uint256, uint256)
    {
        _pay(msg.sender);
        _callBack(abi.encodeWithSelector(0xcf7ea196, askAmount, _data(data)));
        _pull(askToken, askAmount);
        return (0, askAmount);
    }

    function executeWithCallback(SignedOrder calldata, bytes calldata data) external payable {
        _pay(msg.sender);
        ResolvedOrder[] memory orders = new ResolvedOrder[](1);
        orders[0].input.token = payToken;
        orders[0].outputs = new Output[](1);
        orders[0].outputs[0] = Output(askToken, askAmount, address(this));
        _callBack(abi.encodeWithSelector(0x585da628, orders, _data(data)));
        if (askToken != address(0)) _pull(askToken, askAmount);
    }

    receive() external payable {
        require(mode != Mode.SHORT, "no coins, please");
    }

    // ------------------------------------------------------------------ parts

    function _move() private {
        if (mode == Mode.MOVING) _must(target, prepared);
    }

    function _pay(address to) private {
        if (payAmount != 0) Coin(payToken).transfer(to, payAmount);
    }

    function _lend(address token, uint256 amount) private {
        _move();
        Coin(token).transfer(msg.sender, amount);
    }

    function _pull(address token, uint256 amount) private {
        if (mode == Mode.SILENT) return;
        Coin(token).transferFrom(msg.sender, address(this), mode == Mode.LAX ? amount - 1 : amount);
    }

    function _claimed(uint256 amount) private view returns (uint256) {
        return mode == Mode.INFLATED ? 2 * amount : amount;
    }

    function _data(bytes calldata data) private view returns (bytes memory given) {
        given = mode == Mode.EXTENDED ? bytes.concat(data, hex"00") : bytes(data);
        if (mode == Mode.ALTERED) given[given.length - 1] ^= 0x01;
    }

    function _callBack(bytes memory data) private {
        if (mode == Mode.SILENT) return;
        if (mode == Mode.ACCOMPLICE) {
            AdapterStage(payable(accomplice)).forward(msg.sender, data);
            return;
        }
        if (mode == Mode.TWICE) _must(msg.sender, data);
        _must(msg.sender, data);
    }

    function _must(address to, bytes memory data) private {
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
