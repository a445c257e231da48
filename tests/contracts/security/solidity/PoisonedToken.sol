// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title An ERC-20 token with one of the known poisons
contract PoisonedToken {
    enum Poison {
        NONE,
        FEE, // keeps a tenth of every transfer
        REBASING, // balances halve whenever the owner says so, and once in the middle of every transfer
        FALSE, // refuses by answering false, having moved nothing
        NOTHING, // answers nothing
        PAUSING, // refuses every transfer while paused
        BLOCKLIST, // refuses transfers from and to one account
        HOOKS, // calls the receiver and the sender before and after, as ERC-777 does
        LYING, // tells everybody ever larger balances
        SALMONELLA // delivers a tenth, and tells that it delivered all
    }

    Poison public poison;
    address public blocked;
    bool public paused;
    uint256 public totalSupply;
    uint256 private halvings; // of all balances, for REBASING
    uint256 private lie;
    mapping(address => uint256) private shares;
    mapping(address => mapping(address => uint256)) public allowance;

    function set(Poison poison_, address blocked_, bool paused_) external {
        poison = poison_;
        blocked = blocked_;
        paused = paused_;
    }

    function mint(address to, uint256 amount) external {
        shares[to] += amount << halvings;
        totalSupply += amount;
    }

    function rebase() public {
        halvings++;
    }

    function balanceOf(address owner) public view returns (uint256) {
        if (poison == Poison.LYING) return held(owner) + lie;
        return held(owner);
    }

    /// @notice What it really holds.
    function held(address owner) public view returns (uint256) {
        return shares[owner] >> halvings;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return _answer(true);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _answer(_move(msg.sender, to, amount));
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (allowance[from][msg.sender] < amount) return _refuse();
        allowance[from][msg.sender] -= amount;
        return _answer(_move(from, to, amount));
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (poison == Poison.FALSE) return false;
        if (poison == Poison.PAUSING && paused) return _refuse();
        if (poison == Poison.BLOCKLIST && (from == blocked || to == blocked)) return _refuse();
        if (poison == Poison.HOOKS) _hook(from, 0x75ab0056, from, to, amount); // tokensToSend
        if (held(from) < amount) return _refuse();
        uint256 part = amount << halvings;
        if (shares[from] < part) part = shares[from];
        shares[from] -= part;
        bool keeps = poison == Poison.FEE || poison == Poison.SALMONELLA;
        shares[to] += poison == Poison.SALMONELLA ? part / 10 : keeps ? part - part / 10 : part;
        if (poison == Poison.REBASING) rebase();
        if (poison == Poison.LYING) lie += amount;
        if (poison == Poison.HOOKS) _hook(to, 0x0023de29, from, to, amount); // tokensReceived
        return true;
    }

    function _hook(address who, bytes4 selector, address from, address to, uint256 amount) private {
        if (who.code.length == 0) return;
        (bool ok,) = who.call(abi.encodeWithSelector(selector, msg.sender, from, to, amount, "", ""));
        ok;
    }

    function _refuse() private pure returns (bool) {
        revert("refused");
    }

    function _answer(bool value) private view returns (bool) {
        if (poison == Poison.NOTHING) {
            assembly {
                return(0, 0)
            }
        }
        return value;
    }
}
