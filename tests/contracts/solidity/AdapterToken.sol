// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A token that anybody may mint, honest or in one of several hostile ways; it unwraps to coins it was given
contract AdapterToken {
    enum Mode {
        PLAIN,
        REFUSING, // answers false
        SHY, // answers nothing
        STICKY, // an allowance is never used up
        HOOKED, // makes the prepared calls while it is transferred
        TAXED // a tenth of each transfer is lost
    }

    struct Call {
        address target;
        bytes data;
    }

    Mode public mode;
    uint256 public reached;
    uint256 public succeeded;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    Call[] private prepared;
    bool private inside;

    function set(Mode mode_) external {
        mode = mode_;
    }

    function prepare(address target, bytes calldata data) external {
        prepared.push(Call(target, data));
    }

    function mint(address owner, uint256 amount) external {
        balanceOf[owner] += amount;
    }

    function withdraw(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok, "the adapter takes no coins");
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return _answer();
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        require(allowance[from][msg.sender] >= amount, "not approved");
        if (mode != Mode.STICKY) allowance[from][msg.sender] -= amount;
        return _move(from, to, amount);
    }

    receive() external payable {}

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (mode == Mode.REFUSING) return false;
        if (mode == Mode.HOOKED && !inside) {
            inside = true;
            for (uint256 i = 0; i < prepared.length; i++) {
                reached++;
                (bool ok,) = prepared[i].target.call(prepared[i].data);
                if (ok) succeeded++;
            }
            inside = false;
        }
        require(balanceOf[from] >= amount, "too little");
        balanceOf[from] -= amount;
        balanceOf[to] += mode == Mode.TAXED ? amount * 9 / 10 : amount;
        return _answer();
    }

    function _answer() private view returns (bool) {
        if (mode == Mode.SHY) {
            assembly {
                return(0, 0)
            }
        }
        return true;
    }
}
