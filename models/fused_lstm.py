"""Keras's LSTM with its loop over the bars in one TensorFlow kernel: on a CPU, over long sequences, far cheaper.

Keras steps through a sequence with a graph loop, whose calls cost more than a small layer's arithmetic. cuDNN has a
kernel for a GPU; for a CPU TensorFlow has ``BlockLSTM``. Weights, results and gradients are those of Keras's layer up
to rounding (held by a test). The later op ``BlockLSTMV2`` is not used: its gradient, in TensorFlow 2.21, swaps
the forget gate and the candidate.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def fused_lstm() -> type:
    """Return the layer's class; Keras and TensorFlow are imported by this call."""
    import keras
    import tensorflow as tf

    class FusedLSTM(keras.layers.LSTM):
        """An LSTM of Keras's default activations, from a zero state, that returns every bar's output, [B, L, units].

        Raises
        ------
        ValueError
            If it is called with a mask or a state, which the kernel does not take.
        """

        def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
            """Return the outputs of all bars of `sequences`, [B, L, inputs]."""
            if initial_state is not None or mask is not None:
                raise ValueError("FusedLSTM: expected no mask and no initial state; use keras.layers.LSTM with them")
            by_bar = tf.transpose(sequences, [1, 0, 2])
            zero, no_peephole = tf.zeros((tf.shape(sequences)[0], self.units)), tf.zeros(self.units)
            outputs = tf.raw_ops.BlockLSTM(
                seq_len_max=tf.shape(by_bar, out_type=tf.int64)[0],
                x=by_bar,
                cs_prev=zero,
                h_prev=zero,
                w=self._gates(tf.concat([self.cell.kernel, self.cell.recurrent_kernel], axis=0)),
                wci=no_peephole,
                wcf=no_peephole,
                wco=no_peephole,
                b=self._gates(self.cell.bias),
                forget_bias=0.0,  # Keras keeps it in the bias
                cell_clip=-1.0,  # none
                use_peephole=False,
            ).h
            return tf.transpose(outputs, [1, 0, 2])

        def _gates(self, weights: Any) -> Any:
            """Turn Keras's order of gates, input, forget, candidate, output, into the kernel's."""
            entry, forget, candidate, out = tf.split(weights, 4, axis=-1)
            return tf.concat([entry, candidate, forget, out], axis=-1)

    return FusedLSTM
