/**
 * A binary heap: gives the item of greatest priority at any time, and lets priorities change.  Insertion, removal and change take time in
 * proportion to the logarithm of the size.
 * Which of several equal items is first depends on the order in which they came and changed, and on nothing else: lib/heap.c gives the same.
 */

interface Node<T> {
  readonly item: T;
  priority: number;
  place: number;
}

export class MaxHeap<T> {
  private readonly nodes: Node<T>[] = [];
  private readonly byItem = new Map<T, Node<T>>();

  get size(): number {
    return this.nodes.length;
  }
  /** undefined if it is empty. */
  get max(): T | undefined {
    return this.nodes[0]?.item;
  }

  /** Adds `item`, or changes its priority. */
  set(item: T, priority: number): void {
    let node = this.byItem.get(item);
    if (node === undefined) {
      node = { item, priority, place: this.nodes.length };
      this.byItem.set(item, node);
      this.nodes.push(node);
    }
    node.priority = priority;
    this.settle(node);
  }

  /** False if it is not there. */
  delete(item: T): boolean {
    const node = this.byItem.get(item);
    if (node === undefined) return false;
    this.byItem.delete(item);
    const last = this.nodes.pop() as Node<T>;
    if (last !== node) {
      this.put(last, node.place);
      this.settle(last);
    }
    return true;
  }

  private put(node: Node<T>, place: number): void {
    this.nodes[place] = node;
    node.place = place;
  }

  private swap(a: Node<T>, b: Node<T>): void {
    const { place } = a;
    this.put(a, b.place);
    this.put(b, place);
  }

  /** Moves a node up past smaller ones, or else down below greater ones. */
  private settle(node: Node<T>): void {
    const { place } = node;
    for (;;) {
      const parent = node.place === 0 ? undefined : this.nodes[(node.place - 1) >> 1];
      if (parent === undefined || parent.priority >= node.priority) break;
      this.swap(node, parent);
    }
    if (node.place !== place) return;
    for (;;) {
      const greatest = this.greatestChild(node);
      if (greatest === undefined || greatest.priority <= node.priority) return;
      this.swap(node, greatest);
    }
  }

  private greatestChild(node: Node<T>): Node<T> | undefined {
    const left = this.nodes[2 * node.place + 1];
    const right = this.nodes[2 * node.place + 2];
    return right !== undefined && left !== undefined && right.priority > left.priority ? right : left;
  }
}
