// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Stands in for Wrapped BTC: 8 decimals, minted by its owner. Balances, supply and allowances lie in the slots of the
/// mainnet contract.
contract WrappedBtc {
    mapping(address => uint256) public balanceOf; // slot 0
    uint256 public totalSupply; // slot 1
    mapping(address => mapping(address => uint256)) public allowance; // slot 2
    address public immutable owner;

    string public constant name = "Wrapped BTC";
    string public constant symbol = "WBTC";
    uint8 public constant decimals = 8;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor() {
        owner = msg.sender;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value; // an unlimited allowance shrinks as well, as on mainnet
        _move(from, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function mint(address to, uint256 value) external returns (bool) {
        require(msg.sender == owner);
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        require(to != address(0));
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}
